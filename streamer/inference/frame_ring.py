"""Finished pictures in memory that two processes share: the worker writes, the server copies out.

One writer, one reader, no lock: every slot carries the serial number of its picture, cleared before the pixels are
written and set after. A reader that comes too late finds another number and knows that the picture is gone.
"""

from __future__ import annotations

from multiprocessing.context import SpawnContext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.core.frames import ByteArray

HEADER = 16  # bytes: the serial number and how many values a pixel has, int64 each
EMPTY = -1
MOST_CHANNELS = 4


class FrameRing:
    """`slots` pictures, uint8 [size, size, 3 or 4]. Pickles as a handle to the same memory for a spawned process."""

    def __init__(self, context: SpawnContext, slots: int, size: int) -> None:
        self._slots = slots
        self._size = size
        self._memory: Any = context.RawArray("B", slots * self._slot_bytes)

    @property
    def _slot_bytes(self) -> int:
        return HEADER + -(-self._size * self._size * MOST_CHANNELS // HEADER) * HEADER

    def write(self, serial: int, rgb: ByteArray) -> None:
        """Put the picture with this serial number into its slot; what was there is overwritten.

        Raises:
            ValueError: a picture of another shape or type.
        """
        if rgb.shape not in [(self._size, self._size, channels) for channels in (3, 4)] or rgb.dtype != np.uint8:
            expected = f"uint8[{self._size}, {self._size}, 3 or 4]"
            raise ValueError(f"picture {rgb.dtype}{list(rgb.shape)}, expected {expected}")
        header, pixels = self._slot(serial)
        header[0] = EMPTY
        header[1] = rgb.shape[2]
        pixels[: rgb.size] = rgb.reshape(-1)
        header[0] = serial

    def read(self, serial: int) -> ByteArray | None:
        """A copy of the picture, or None when it was overwritten meanwhile."""
        header, pixels = self._slot(serial)
        channels = int(header[1])
        if header[0] != serial:
            return None
        rgb = pixels[: self._size * self._size * channels].reshape(self._size, self._size, channels).copy()
        return rgb if header[0] == serial else None

    def _slot(self, serial: int) -> tuple[NDArray[np.int64], ByteArray]:
        start = serial % self._slots * self._slot_bytes
        header = np.frombuffer(self._memory, np.int64, 2, start)
        pixels = np.frombuffer(self._memory, np.uint8, self._size * self._size * MOST_CHANNELS, start + HEADER)
        return header, pixels
