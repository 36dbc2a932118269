"""Loudness of every video frame's sound, as it comes in."""

from __future__ import annotations

import numpy as np

from streamer.config import SAMPLES_PER_FRAME
from streamer.frames import FloatArray

SILENCE_DB = -90.0  # the floor: below a 16-bit sample's last step


def loudness_db(samples: FloatArray) -> float:
    """Root mean square of float32 [n] in dB of full scale, not below SILENCE_DB."""
    power = float(np.mean(np.square(samples, dtype=np.float64))) if samples.size else 0.0
    return max(SILENCE_DB, 10.0 * float(np.log10(power))) if power > 0.0 else SILENCE_DB


class FrameLoudness:
    """Push sound, pop the level of each complete video frame. Holds less than one frame of sound."""

    def __init__(self) -> None:
        self._pending = np.zeros(0, np.float32)

    def push(self, samples: FloatArray) -> list[float]:
        """Take float32 [n], any n; return the levels of the frames it completes, in dB of full scale."""
        sound = np.concatenate([self._pending, samples])
        whole = sound.size // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME
        self._pending = sound[whole:].copy()
        return [loudness_db(frame) for frame in sound[:whole].reshape(-1, SAMPLES_PER_FRAME)]

    def flush(self) -> list[float]:
        """The level of the last, partial frame, filled up with silence."""
        missing = -self._pending.size % SAMPLES_PER_FRAME
        return self.push(np.zeros(missing, np.float32))

    def reset(self) -> None:
        """Forget the partial frame."""
        self._pending = np.zeros(0, np.float32)
