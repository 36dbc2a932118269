"""Resampling callbacks for sound devices that do not run at RATE; no sample is added or lost.

Some devices (USB microphones under ALSA's `hw:`) support only 44.1 kHz, and no mixer converts for them.
"""

from __future__ import annotations

from collections.abc import Callable

import av
import numpy as np
from av.audio.resampler import AudioResampler

from streamer.audio.format import AUDIO_BLOCK, AUDIO_PTIME_MS, RATE, Samples

Callback = Callable[..., None]


def device_block(rate: int) -> int:
    """Return the number of samples in a block at that rate."""
    return round(rate * AUDIO_PTIME_MS / 1000)


def heard_at(rate: int, channels: int, heard: Callback) -> Callback:
    """Return a callback for an input at `rate`; it calls `heard` with int16 [AUDIO_BLOCK, channels] at RATE."""
    convert = _Converter(rate, RATE, channels)
    waiting = np.zeros((0, channels), np.int16)

    def called(data: Samples, *rest: object) -> None:
        nonlocal waiting
        waiting = np.concatenate([waiting, convert.push(data)])
        while len(waiting) >= AUDIO_BLOCK:
            heard(waiting[:AUDIO_BLOCK], *rest)
            waiting = waiting[AUDIO_BLOCK:]

    return called


def filled_at(rate: int, channels: int, fill: Callback) -> Callback:
    """Return a callback for an output at `rate`; it calls `fill` for int16 [AUDIO_BLOCK, channels] at RATE."""
    convert = _Converter(RATE, rate, channels)
    ready = np.zeros((0, channels), np.int16)

    def called(out: Samples, *rest: object) -> None:
        nonlocal ready
        while len(ready) < len(out):
            block = np.zeros((AUDIO_BLOCK, channels), np.int16)
            fill(block, *rest)
            ready = np.concatenate([ready, convert.push(block)])
        out[:] = ready[: len(out)]
        ready = ready[len(out) :]

    return called


class _Converter:
    def __init__(self, rate: int, wanted: int, channels: int) -> None:
        self._rate, self._channels = rate, channels
        self._layout = "mono" if channels == 1 else "stereo"
        self._resampler = AudioResampler(format="s16", layout=self._layout, rate=wanted)

    def push(self, samples: Samples) -> Samples:
        """Take int16 [n, channels] and return the resampled block; the filter holds back less than a millisecond."""
        packed = np.ascontiguousarray(samples, np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=self._layout)
        frame.sample_rate = self._rate
        parts = [part.to_ndarray().reshape(-1, self._channels) for part in self._resampler.resample(frame)]
        return np.concatenate([np.zeros((0, self._channels), np.int16), *parts]).astype(np.int16)
