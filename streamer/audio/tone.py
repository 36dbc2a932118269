"""Tone of a voice per video frame: pitch and brightness.

Pitch comes from the lag with the highest autocorrelation of an audio window (Boersma 1993, "Accurate short-term
analysis of the fundamental frequency"); brightness is the ratio of the energy above 1.5 kHz to that below it. A smile
shortens
the mouth and makes a voice brighter and higher (Tartter 1980, "Happy talk").
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from streamer.core.frames import FloatArray
from streamer.core.rates import SAMPLE_RATE, SAMPLES_PER_FRAME

WINDOW = 1024  # samples up to the frame's end: four periods of the lowest voice
LOWEST, HIGHEST = 65.0, 420.0  # Hz
PERIODIC = 0.45  # normalised autocorrelation above which a window is voiced
AS_GOOD = 0.88  # of the best peak: the shortest lag this good is the period, not a multiple of it
SPLIT_HZ, TOP_HZ = 1500.0, 5000.0
QUIET = 1e-4  # root mean square of a window below which it is unvoiced

_SIZE = 2 * WINDOW
_LAGS = slice(int(SAMPLE_RATE / HIGHEST), int(SAMPLE_RATE / LOWEST) + 1)
_HANN = np.hanning(WINDOW).astype(np.float32)
_OWN = np.fft.irfft(np.abs(np.fft.rfft(_HANN, _SIZE)) ** 2)[:WINDOW]  # the Hann window's autocorrelation, a divisor
_HZ = np.fft.rfftfreq(_SIZE, 1 / SAMPLE_RATE)
_LOW, _HIGH = (_HZ >= LOWEST) & (_HZ < SPLIT_HZ), (_HZ >= SPLIT_HZ) & (_HZ < TOP_HZ)


class Tone(NamedTuple):
    """pitch: in octaves over 1 Hz; brightness: in dB."""

    pitch: float
    brightness: float


def tone_of(window: FloatArray) -> Tone | None:
    """Return the tone of WINDOW samples, or None if they are unvoiced."""
    if float(np.square(window).mean()) < QUIET**2:
        return None
    power = np.abs(np.fft.rfft((window - window.mean()) * _HANN, _SIZE)) ** 2
    resemblance = np.fft.irfft(power)[:WINDOW] / _OWN
    found = resemblance[_LAGS] / max(float(resemblance[0]), 1e-12)
    best = float(found.max())
    if best < PERIODIC:
        return None
    first = int(np.argmax(found >= AS_GOOD * best))
    while first + 1 < found.size and found[first + 1] > found[first]:
        first += 1  # climb to the top of that peak
    period = (_LAGS.start + first) / SAMPLE_RATE
    bright = float(power[_HIGH].sum()) / max(float(power[_LOW].sum()), 1e-12)
    return Tone(-float(np.log2(period)), 10 * float(np.log10(max(bright, 1e-6))))


class FrameTones:
    """Streaming tone meter: push audio, get the tone at each video frame's end. Holds less than two windows."""

    def __init__(self) -> None:
        self._kept = np.zeros(WINDOW - SAMPLES_PER_FRAME, np.float32)  # silence before the first sample

    def push(self, samples: FloatArray) -> list[Tone | None]:
        """Take float32 [n] at SAMPLE_RATE, any n; return the tones of the frames it completes."""
        sound = np.concatenate([self._kept, samples])
        count = (sound.size - (WINDOW - SAMPLES_PER_FRAME)) // SAMPLES_PER_FRAME
        starts = range(0, count * SAMPLES_PER_FRAME, SAMPLES_PER_FRAME)
        self._kept = sound[count * SAMPLES_PER_FRAME :].copy()
        return [tone_of(sound[start : start + WINDOW]) for start in starts]

    def flush(self) -> list[Tone | None]:
        """Return the tone of the last, partial frame, padded with silence."""
        partial = self._kept.size - (WINDOW - SAMPLES_PER_FRAME)
        return self.push(np.zeros(-partial % SAMPLES_PER_FRAME, np.float32))

    def reset(self) -> None:
        """Clear all state: the next sample is the first."""
        self._kept = np.zeros(WINDOW - SAMPLES_PER_FRAME, np.float32)
