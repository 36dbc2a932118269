"""Finished pictures in memory that two processes share: the worker writes, the server copies out.

One writer, one reader, no lock: every slot carries the serial number of its picture, cleared before the pixels are
written and set after. A reader that comes too late finds another number and knows that the picture is gone.
"""

from __future__ import annotations

import weakref
from multiprocessing.shared_memory import SharedMemory

import numpy as np
from numpy.typing import NDArray

from streamer.core.frames import ByteArray

HEADER = 32  # bytes: the serial number, the side, and how many values a pixel has, int64 each
EMPTY = -1
MOST_CHANNELS = 4


class FrameRing:
    """`slots` pictures, uint8 [S, S, 3 or 4] with S up to `most`.

    Pickles as a handle to the same memory for a spawned process. The memory belongs to the ring's maker, and goes
    with it; pages that no picture needs are never taken.
    """

    def __init__(self, slots: int, most: int) -> None:
        self._slots = slots
        self._most = most
        self._memory = SharedMemory(create=True, size=slots * self._slot_bytes)
        weakref.finalize(self, _discard, self._memory)
        for serial in range(slots):
            self._slot(serial)[0][0] = EMPTY

    @property
    def _slot_bytes(self) -> int:
        return HEADER + -(-self._most * self._most * MOST_CHANNELS // HEADER) * HEADER

    def write(self, serial: int, rgb: ByteArray) -> None:
        """Write the picture with this serial number into its slot, over an older one.

        Raises:
            ValueError: a picture of another shape or type.
        """
        side = rgb.shape[0]
        shapes = [(side, side, channels) for channels in (3, MOST_CHANNELS)]
        if rgb.shape not in shapes or rgb.dtype != np.uint8 or side > self._most:
            expected = f"uint8[S, S, 3 or 4], S up to {self._most}"
            raise ValueError(f"picture {rgb.dtype}{list(rgb.shape)}, expected {expected}")
        header, pixels = self._slot(serial)
        header[0] = EMPTY
        header[1], header[2] = side, rgb.shape[2]
        pixels[: rgb.size] = rgb.reshape(-1)
        header[0] = serial

    def read(self, serial: int) -> ByteArray | None:
        """A copy of the picture, or None when it was overwritten meanwhile."""
        header, pixels = self._slot(serial)
        side, channels = int(header[1]), int(header[2])
        if header[0] != serial:
            return None
        rgb = pixels[: side * side * channels].reshape(side, side, channels).copy()
        return rgb if header[0] == serial else None

    def _slot(self, serial: int) -> tuple[NDArray[np.int64], ByteArray]:
        start = serial % self._slots * self._slot_bytes
        buffer = self._memory.buf
        assert buffer is not None, "the memory is open for as long as the ring lives"
        header = np.frombuffer(buffer, np.int64, 3, start)
        pixels = np.frombuffer(buffer, np.uint8, self._most * self._most * MOST_CHANNELS, start + HEADER)
        return header, pixels


def _discard(memory: SharedMemory) -> None:
    memory.close()
    memory.unlink()
