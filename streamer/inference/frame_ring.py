"""Ring buffer of finished pictures in shared memory: the worker writes, the server copies out.

One writer, one reader, no lock: every slot holds the serial number of its picture, cleared before the pixels are
written and set afterwards. A reader that is too late finds another number and knows that the picture is gone.
"""

from __future__ import annotations

import weakref
from multiprocessing.shared_memory import SharedMemory

import numpy as np
from numpy.typing import NDArray

from streamer.core.frames import ByteArray

HEADER = 32  # bytes: serial number, height, width and channels, int64 each
EMPTY = -1
MOST_CHANNELS = 4


class FrameRing:
    """`slots` pictures, uint8 [H, W, 3 or 4] of up to `most` pixels.

    A pickled ring is a handle to the same memory in a spawned process. The process that made the ring owns the memory
    and frees it with the ring; pages that no picture needs are never allocated.
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
        """Write the picture with this serial number into its slot, replacing an older one.

        Raises:
            ValueError: the picture has a wrong shape or type.
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
        """Return a copy of the picture, or None if it has been overwritten."""
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
