"""Coefficients of a frame packed in place of its picture, for clients that draw the face themselves."""

from __future__ import annotations

import numpy as np

from streamer.core.frames import ByteArray, FloatArray


def packed(values: FloatArray) -> ByteArray:
    """Pack float32 [n] as bytes, uint8 [4 n], to be sent like a picture."""
    return np.ascontiguousarray(values, np.float32).view(np.uint8)


def unpacked(numbers: ByteArray) -> FloatArray:
    """Unpack the bytes of `packed` to float32 [n]."""
    return numbers.view(np.float32)
