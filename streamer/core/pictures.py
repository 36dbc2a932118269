"""Conversions of pictures: float to bytes, PNG, size, alpha."""

from __future__ import annotations

import cv2
import numpy as np

from streamer.core.frames import ByteArray, FloatArray


def to_bytes(picture: FloatArray | ByteArray) -> ByteArray:
    """Convert [H, W, 3] in 0..1 to uint8, rounded and clipped; uint8 passes through."""
    if picture.dtype == np.uint8:
        return np.asarray(picture, np.uint8)
    scaled = np.asarray(picture, np.float32) * np.float32(255.0) + np.float32(0.5)
    return np.asarray(np.clip(scaled, 0.0, 255.0), np.uint8)


def decode(data: bytes) -> ByteArray | None:
    """Decode a picture file (PNG, JPEG, ...) to RGB, uint8 [H, W, 3]; None if it is not a picture."""
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    return None if found is None else np.asarray(cv2.cvtColor(found, cv2.COLOR_BGR2RGB), np.uint8)


def decode_grey(data: bytes) -> ByteArray | None:
    """Decode a picture file to grey, uint8 [H, W]; None if it is not a picture."""
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE) if data else None
    return None if found is None else np.asarray(found, np.uint8)


def encode_png(picture: ByteArray) -> bytes:
    """Encode an RGB [H, W, 3] or grey [H, W] picture as PNG."""
    stored = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if picture.ndim == 3 else picture
    return cv2.imencode(".png", stored)[1].tobytes()


def scaled(picture: ByteArray, size: int) -> ByteArray:
    """Scale a square picture, uint8 [S, S, ...], to `size` pixels a side; returned as it is if it has that size."""
    if picture.shape[0] == size:
        return picture
    way = cv2.INTER_AREA if size < picture.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (size, size), interpolation=way), np.uint8)


def opaque(rgb: ByteArray) -> ByteArray:
    """Add a fully opaque alpha channel: uint8 [H, W, 3] to [H, W, 4]."""
    return np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])


def has_alpha(picture: ByteArray) -> bool:
    """Return whether a picture is RGBA."""
    return bool(picture.shape[2] == 4)
