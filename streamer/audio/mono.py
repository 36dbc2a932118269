"""Stereo to mono for live, pushed and file audio alike, without cancellation of channels in antiphase."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamer.core.frames import FloatArray

BLOCK_S = 0.01  # interval at which the channels' correlation is evaluated
MEMORY = 0.9  # decay of the correlation per block: 95 ms
OPPOSITE = -0.5  # correlation below which the right channel is inverted: the mean would lose more than 6 dB
ALIKE = 0.0  # correlation above which the inversion ends
QUIET = 1e-9  # mean square (-90 dBFS) below which the correlation is not evaluated


class MonoMix:
    """Mean of two channels, with the right one inverted while it is in antiphase to the left.

    Antiphase comes from a wrongly wired cable or a "karaoke" or phase-shifted mix; the plain mean would be silence. A
    block is mixed according to the blocks before it, so there is no delay, and the result does not depend on the
    chunking. The sign changes gradually over one block, without a click.
    """

    def __init__(self, rate: int) -> None:
        self._block = max(1, round(rate * BLOCK_S))
        self._left = self._block  # samples to the end of the current block
        self._products = np.zeros(3)  # left x left, right x right, left x right, summed over the current block
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
        """At the end of a block, choose the target sign of the next one."""
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
