"""Decimate 48 kHz stereo to the networks' 16 kHz mono, with exact sample positions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamer.audio.format import RATE, Samples
from streamer.audio.mono import MonoMix
from streamer.core.frames import FloatArray
from streamer.core.rates import SAMPLE_RATE, exact_div

FACTOR = exact_div(RATE, SAMPLE_RATE)
TAPS = 63  # odd, so that the filter is symmetric and causes no shift in time
REACH = TAPS // 2  # filter delay in samples at RATE: 0.65 ms


def _low_pass() -> NDArray[np.float32]:
    """Return a windowed sinc (Blackman) with its cutoff just below the new Nyquist frequency; gain 1 at 0 Hz."""
    n = np.arange(TAPS) - REACH
    taps = np.sinc(n * 0.9 / FACTOR) * np.blackman(TAPS)
    return np.asarray(taps / taps.sum(), np.float32)


class Decimator:
    """Streaming decimator: output sample k is the filtered input around sample `FACTOR` * k, for any chunking."""

    def __init__(self) -> None:
        self._taps = _low_pass()
        self._mix = MonoMix(RATE)
        self._pending: FloatArray = np.zeros(REACH, np.float32)  # silence before the first sample

    def push(self, samples: Samples) -> FloatArray:
        """Take int16 [n, 2]; return float32 [m] in [-1, 1]."""
        mono = self._mix.push(samples.astype(np.float32) / np.float32(32768))
        pending = np.concatenate([self._pending, mono])
        ready = max(0, (len(pending) - TAPS) // FACTOR + 1)
        if ready == 0:
            self._pending = pending
            return np.zeros(0, np.float32)
        step = pending.strides[0]
        # Equals sliding_window_view(pending, TAPS)[::FACTOR], whose construction takes as long as the filter itself.
        windows = np.ndarray((ready, TAPS), np.float32, pending, strides=(FACTOR * step, step))
        self._pending = pending[ready * FACTOR :]
        heard: FloatArray = windows @ self._taps
        return heard
