"""Finished pictures in memory that two processes share: the worker writes, the server copies out.

One writer, one reader, no lock: every slot carries the serial number of its picture, cleared before the pixels are
written and set after. A reader that comes too late finds another number and knows that the picture is gone.
"""

from __future__ import annotations

from multiprocessing.context import SpawnContext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.frames import ByteArray

HEADER = 8  # bytes: the serial number, int64
EMPTY = -1


class FrameRing:
    """`slots` pictures of uint8 [size, size, 3]. Pickles as a handle to the same memory when a process is spawned."""

    def __init__(self, context: SpawnContext, slots: int, size: int) -> None:
        self._slots = slots
        self._size = size
        self._memory: Any = context.RawArray("B", slots * self._slot_bytes)

    @property
    def _slot_bytes(self) -> int:
        return HEADER + -(-self._size * self._size * 3 // HEADER) * HEADER

    def write(self, serial: int, rgb: ByteArray) -> None:
        """Put the picture with this serial number into its slot; what was there is overwritten.

        Raises:
            ValueError: a picture of another shape or type.
        """
        if rgb.shape != (self._size, self._size, 3) or rgb.dtype != np.uint8:
            raise ValueError(f"picture {rgb.dtype}{list(rgb.shape)}, expected uint8[{self._size}, {self._size}, 3]")
        number, pixels = self._slot(serial)
        number[0] = EMPTY
        pixels[:] = rgb.reshape(-1)
        number[0] = serial

    def read(self, serial: int) -> ByteArray | None:
        """A copy of the picture, or None when it was overwritten meanwhile."""
        number, pixels = self._slot(serial)
        if number[0] != serial:
            return None
        rgb = pixels.reshape(self._size, self._size, 3).copy()
        return rgb if number[0] == serial else None

    def _slot(self, serial: int) -> tuple[NDArray[np.int64], ByteArray]:
        start = serial % self._slots * self._slot_bytes
        number = np.frombuffer(self._memory, np.int64, 1, start)
        pixels = np.frombuffer(self._memory, np.uint8, self._size * self._size * 3, start + HEADER)
        return number, pixels
