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

HEADER = 32  # bytes: the serial number, height, width, and how many values a pixel has, int64 each
EMPTY = -1
MOST_CHANNELS = 4


class FrameRing:
    """`slots` pictures, uint8 [H, W, 3 or 4] of up to `most` pixels.

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
        return HEADER + -(-self._most * MOST_CHANNELS // HEADER) * HEADER

    def write(self, serial: int, rgb: ByteArray) -> None:
        """Write the picture with this serial number into its slot, over an older one.

        Raises:
            ValueError: a picture of another shape or type.
        """
        fits = rgb.ndim == 3 and rgb.shape[2] in (3, MOST_CHANNELS) and rgb.shape[0] * rgb.shape[1] <= self._most
        if not fits or rgb.dtype != np.uint8:
            expected = f"uint8[H, W, 3 or 4] of up to {self._most} pixels"
            raise ValueError(f"picture {rgb.dtype}{list(rgb.shape)}, expected {expected}")
        header, pixels = self._slot(serial)
        header[0] = EMPTY
        header[1:] = rgb.shape
        pixels[: rgb.size] = rgb.reshape(-1)
        header[0] = serial

    def read(self, serial: int) -> ByteArray | None:
        """A copy of the picture, or None when it was overwritten meanwhile."""
        header, pixels = self._slot(serial)
        height, width, channels = map(int, header[1:])
        if header[0] != serial:
            return None
        rgb = pixels[: height * width * channels].reshape(height, width, channels).copy()
        return rgb if header[0] == serial else None

    def _slot(self, serial: int) -> tuple[NDArray[np.int64], ByteArray]:
        start = serial % self._slots * self._slot_bytes
        buffer = self._memory.buf
        assert buffer is not None, "the memory is open for as long as the ring lives"
        header = np.frombuffer(buffer, np.int64, 4, start)
        pixels = np.frombuffer(buffer, np.uint8, self._most * MOST_CHANNELS, start + HEADER)
        return header, pixels


def _discard(memory: SharedMemory) -> None:
    memory.close()
    memory.unlink()
