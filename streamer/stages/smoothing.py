"""Smoothing of head motion: the reference's, which needs future frames, and a causal one that cannot jump."""

from __future__ import annotations

from collections import deque
from functools import cache

import numpy as np
from numpy.typing import NDArray

from streamer.core.frames import FloatArray
from streamer.core.rates import FPS

TAPS, ORDER = 13, 2  # of the reference implementation

Matrix = NDArray[np.float64]


@cache
def _projection(taps: int) -> Matrix:
    """Return a matrix whose row j maps `taps` samples to the value at sample j of the parabola fitted to them."""
    powers = np.vander(np.arange(taps) - taps // 2, ORDER + 1).astype(np.float64)
    return np.asarray(powers @ np.linalg.pinv(powers), np.float64)


class SavitzkyGolay:
    """Streaming Savitzky-Golay smoothing: parabolas over TAPS frames, with a delay of `delay` frames.

    A. Savitzky and M. Golay, Anal. Chem. 36 (1964), 1627. At both ends the parabola of the outermost TAPS frames is
    used, so the first frames wait until TAPS frames have arrived; a shorter track uses the largest odd number of frames
    it has.
    """

    delay = TAPS // 2

    def __init__(self) -> None:
        self.reset()

    def push(self, value: FloatArray) -> list[FloatArray]:
        """Take the next frame's values, float32 [P]; return the smoothed frames now known, in order."""
        self._recent.append(value)
        self._count += 1
        if self._count < TAPS:
            return []
        rows = range(self.delay + 1) if self._count == TAPS else [self.delay]
        return self._values(TAPS, rows)

    def flush(self) -> list[FloatArray]:
        """Return the remaining frames at the end of the track. Call `reset` before pushing again."""
        if self._count >= TAPS:
            return self._values(TAPS, range(self.delay + 1, TAPS))
        taps = (self._count - 1) // 2 * 2 + 1
        if taps <= ORDER:
            return list(self._recent)
        # With an even number of frames the window fits at two positions; the second adds only its later half.
        first = self._values(taps, range(taps // 2 + 1), end=taps)
        return first + self._values(taps, range(taps // 2 + (self._count == taps), taps))

    def reset(self) -> None:
        """Clear all state: the next frame is the first."""
        self._recent: deque[FloatArray] = deque(maxlen=TAPS)
        self._count = 0

    def _values(self, taps: int, rows: range | list[int], end: int | None = None) -> list[FloatArray]:
        frames = list(self._recent)[:end][-taps:]
        samples = np.stack(frames).astype(np.float64)
        return [np.asarray(_projection(taps)[row] @ samples, np.float32) for row in rows]


class Follower:
    """Critically damped spring that follows a target with bounded acceleration.

    The second difference of the value stays within `bend` per frame squared for any target. Causal; starts at rest at
    zero.

    `frequency`: natural frequency in rad/s; the value lags the target by about 2 / frequency seconds.
    """

    def __init__(self, size: int, frequency: float, bend: float) -> None:
        self._value, self._speed = np.zeros(size), np.zeros(size)
        self._stiffness = frequency / FPS
        self._bend = bend

    def step(self, target: FloatArray) -> FloatArray:
        """Return the value of the next frame, float32 [size]."""
        pull = self._stiffness * (self._stiffness * (target - self._value) - 2 * self._speed)
        self._speed = self._speed + np.clip(pull, -self._bend, self._bend)
        self._value = self._value + self._speed
        return self._value.astype(np.float32)
