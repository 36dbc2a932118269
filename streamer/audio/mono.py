"""Stereo to mono, the one way for live, pushed and filed sound: opposite channels do not cancel each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamer.core.frames import FloatArray

BLOCK_S = 0.01  # the channels' likeness is judged so often
MEMORY = 0.9  # of it from block to block: 95 ms
OPPOSITE = -0.5  # correlation from which on the right channel is turned: halves would lose more than 6 dB
ALIKE = 0.0  # correlation above which it is turned back
QUIET = 1e-9  # mean square (-90 dBFS) below which nothing is judged


class MonoMix:
    """The mean of two channels, the right one turned while it is the left one's opposite (a wrongly wired cable, a
    "karaoke" or phase-shifted mix), whose mean would be silence.

    A block is mixed by what the blocks before it were like, so nothing waits, and the result is the same whatever the
    chunks. The sign changes over one block, without a click.
    """

    def __init__(self, rate: int) -> None:
        self._block = max(1, round(rate * BLOCK_S))
        self._left = self._block  # samples up to the end of the present block
        self._products = np.zeros(3)  # left with left, right with right, left with right: of the present block
        self._memory = np.zeros(3)
        self._sign = self._target = 1.0

    def push(self, stereo: FloatArray) -> FloatArray:
        """Take float32 [n, 2], any n; return the mono float32 [n]."""
        mono = np.empty(len(stereo), np.float32)
        both = np.ascontiguousarray(stereo.T)
        start = 0
        while start < len(stereo):
            left, right = both[:, start : start + self._left]
            stop = start + len(left)
            mono[start:stop] = self._mixed(left, right)
            self._products += left @ left, right @ right, left @ right
            self._left -= len(left)
            start = stop
            if not self._left:
                self._judge()
        return mono

    def _mixed(self, left: FloatArray, right: FloatArray) -> NDArray[np.float32]:
        if self._sign == self._target == 1.0:
            return np.asarray((left + right) * np.float32(0.5), np.float32)
        done = self._block - self._left
        way = np.arange(done + 1, done + len(left) + 1, dtype=np.float32) / np.float32(self._block)
        sign = np.float32(self._sign) + (np.float32(self._target) - np.float32(self._sign)) * way
        return np.asarray((left + right * sign) * np.float32(0.5), np.float32)

    def _judge(self) -> None:
        """A block is complete: which sign the next one goes to."""
        self._sign = self._target
        self._memory = self._memory * MEMORY + self._products
        self._products = np.zeros(3)
        loud = min(self._memory[0], self._memory[1]) * (1 - MEMORY) / self._block > QUIET
        if loud:
            likeness = self._memory[2] / np.sqrt(self._memory[0] * self._memory[1])
            if likeness < OPPOSITE:
                self._target = -1.0
            elif likeness > ALIKE:
                self._target = 1.0
        self._left = self._block
