"""Coefficients of a frame in the place of its picture, for those who draw the face themselves."""

from __future__ import annotations

import numpy as np

from streamer.core.frames import ByteArray, FloatArray


def packed(values: FloatArray) -> ByteArray:
    """float32 [n] as what takes the way of a picture: uint8 [4 n]."""
    return np.ascontiguousarray(values, np.float32).view(np.uint8)


def unpacked(numbers: ByteArray) -> FloatArray:
    """float32 [n] of what `packed` gave."""
    return numbers.view(np.float32)
