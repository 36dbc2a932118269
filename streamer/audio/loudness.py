"""Loudness and speech activity, per video frame."""

from __future__ import annotations

import numpy as np

from streamer.core.frames import FloatArray
from streamer.core.rates import FPS, SAMPLES_PER_FRAME

_QUIETEST_PEAK = -48.0  # dBFS: below this even the loudest moments count as background
_PEAK_DECAY = 0.06  # dB per frame: adapts within half a minute to a speaker who moves away
_RANGE = 30.0  # dB from a speaker's peak down to activity 0
_ATTACK, _RELEASE = 0.12, 0.6  # s
_STRESS_RISE = 0.22  # of the range above the running level
_STRESS_SLOW = 0.35  # s, time constant of that level


class SpeechActivity:
    """Speech activity of one speaker, one value per video frame, independent of the microphone's gain.

    `level` is the smoothed activity (0 silent .. 1 loud); `stress` is how far the current frame rises above the
    preceding level (0 .. 1).
    """

    def __init__(self) -> None:
        self.level = 0.0
        self.stress = 0.0
        self._peak = _QUIETEST_PEAK
        self._slow = 0.0

    def step(self, loudness: float) -> float:
        """Take the loudness of the next frame in dBFS (not a number counts as silence); return `level`."""
        value = min(max(loudness, SILENCE_DB), 0.0) if loudness == loudness else SILENCE_DB
        self._peak = max(value, self._peak - _PEAK_DECAY, _QUIETEST_PEAK)
        now = min(max(1 + (value - self._peak) / _RANGE, 0.0), 1.0) if value > _QUIETEST_PEAK - _RANGE else 0.0
        self.level += (now - self.level) * _share(_ATTACK if now > self.level else _RELEASE)
        self.stress = min(max((now - self._slow) / _STRESS_RISE, 0.0), 1.0)
        self._slow += (now - self._slow) * _share(_STRESS_SLOW)
        return self.level


def _share(seconds: float) -> float:
    """Return the coefficient per frame of a one-pole filter with this time constant."""
    return 1 - float(np.exp(-1 / (FPS * seconds)))


SILENCE_DB = -90.0  # lower limit: below the smallest step of a 16-bit sample


def loudness_db(samples: FloatArray) -> float:
    """Return the root mean square of float32 [n] in dBFS, at least SILENCE_DB."""
    power = float(np.mean(np.square(samples, dtype=np.float64))) if samples.size else 0.0
    return max(SILENCE_DB, 10.0 * float(np.log10(power))) if power > 0.0 else SILENCE_DB


class FrameLoudness:
    """Streaming level meter: push audio, get the level of each complete video frame. Holds less than one frame."""

    def __init__(self) -> None:
        self._pending = np.zeros(0, np.float32)

    def push(self, samples: FloatArray) -> list[float]:
        """Take float32 [n], any n; return the levels of the frames it completes, in dB of full scale."""
        sound = np.concatenate([self._pending, samples])
        whole = sound.size // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME
        self._pending = sound[whole:].copy()
        return [loudness_db(frame) for frame in sound[:whole].reshape(-1, SAMPLES_PER_FRAME)]

    def flush(self) -> list[float]:
        """Return the level of the last, partial frame, padded with silence."""
        missing = -self._pending.size % SAMPLES_PER_FRAME
        return self.push(np.zeros(missing, np.float32))

    def reset(self) -> None:
        """Drop the partial frame."""
        self._pending = np.zeros(0, np.float32)
