"""The matte of an avatar's portrait: the person's share of each pixel. Computed once, stored in the bundle."""

from __future__ import annotations

import contextlib
from pathlib import Path

import cv2
import numpy as np

from streamer.avatar.bundle import Avatar
from streamer.avatar.bundle_files import MATTE, read_grey, write_picture
from streamer.core.errors import BundleError
from streamer.core.frames import ByteArray, FloatArray
from streamer.core.pictures import to_bytes
from streamer.vision.matting import cut_out


def matte_of(avatar: Avatar, size: int | None = None) -> FloatArray:
    """Return the matte of a loaded avatar, as `load_matte`, at `size` pixels a side (None: the family's size)."""
    matte = load_matte(avatar.info.folder, portrait_of(avatar))
    return matte if size is None else scaled_matte(matte, size)


def scaled_matte(matte: FloatArray, size: int) -> FloatArray:
    """Resize a matte [S, S] to `size`."""
    if matte.shape[0] == size:
        return matte
    return np.asarray(cv2.resize(matte, (size, size), interpolation=cv2.INTER_CUBIC), np.float32).clip(0, 1)


def portrait_of(avatar: Avatar) -> ByteArray:
    """Return an avatar's portrait at the family's size, uint8 [S, S, 3]."""
    return to_bytes(avatar.constants["portrait"][0].transpose(1, 2, 0))


def load_matte(folder: Path, portrait: ByteArray) -> FloatArray:
    """Read the matte [S, S] in 0..1 of the bundle in `folder`, whose portrait is uint8 [S, S, 3].

    If the bundle has no matte, it is computed and stored now.

    Raises:
        BundleError: it is damaged.
    """
    path = folder / MATTE
    if not path.is_file():
        matte = cut_out(portrait)
        with contextlib.suppress(OSError):  # read-only folder: the matte is computed again each time
            write_matte(path, matte)
        return matte
    grey = read_grey(path)
    if grey.shape != portrait.shape[:2]:
        side = portrait.shape[0]
        raise BundleError(f"{path}: {grey.shape[1]}x{grey.shape[0]} pixels, expected {side}x{side}")
    return np.asarray(grey, np.float32) / np.float32(255)


def write_matte(path: Path, matte: FloatArray) -> None:
    """Write a matte [S, S] atomically. Raises OSError."""
    write_picture(path, np.asarray(matte * 255 + 0.5, np.uint8))
