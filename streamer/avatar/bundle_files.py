"""The files of an avatar's bundle beside `avatar.json` (see `catalogue`): written and read here and nowhere else.

`portrait.png` (or `portrait.webp`: a shipped face, made small), `matte.png` (grey), `whole.png` and `preview.png` are
pictures; `arrays.npz` has the stages' constants.
Files are written whole or not at all, and for their user only: a face is private.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from engines.files import replacing, write_bytes
from streamer.core import npz, pictures
from streamer.core.errors import BundleError, MediaError
from streamer.core.frames import ByteArray, FloatArray

PORTRAIT, MATTE, WHOLE, PREVIEW, ARRAYS = "portrait.png", "matte.png", "whole.png", "preview.png", "arrays.npz"
SHIPPED_PORTRAIT = "portrait.webp"
MOST_BYTES = 256 << 20  # of arrays
LARGEST = 1e5  # coordinates are of the order of 1, places in photos thousands of pixels


def portrait_file(folder: Path) -> Path:
    """Where a bundle's portrait lies: the PNG, or the WebP of a shipped face where there is no PNG."""
    shipped = folder / SHIPPED_PORTRAIT
    return shipped if shipped.is_file() and not (folder / PORTRAIT).is_file() else folder / PORTRAIT


def write_picture(path: Path, picture: ByteArray) -> None:
    """Write an RGB [H, W, 3] or grey [H, W] picture. Raises OSError."""
    write_bytes(path, pictures.encode_png(picture), private=True)


def read_picture(path: Path) -> ByteArray:
    """An RGB picture, uint8 [H, W, 3]. Raises BundleError when it is missing or damaged."""
    return _picture(path, pictures.decode(read_bytes(path)))


def read_grey(path: Path) -> ByteArray:
    """A grey picture, uint8 [H, W]. Raises BundleError when it is missing or damaged."""
    return _picture(path, pictures.decode_grey(read_bytes(path)))


def write_arrays(path: Path, arrays: Mapping[str, FloatArray]) -> None:
    """Write the stages' constants. Raises OSError."""
    with replacing(path, private=True) as partial:
        npz.write(partial, arrays, {})


def read_arrays(path: Path) -> dict[str, FloatArray]:
    """The stages' constants, float32, by name. Raises BundleError when the file is missing, damaged or too large."""
    if not path.is_file():
        raise BundleError(f"{path}: missing")
    try:
        found = {name: np.asarray(array, np.float32) for name, array in npz.load(path, MOST_BYTES).items()}
    except (MediaError, ValueError) as error:
        raise BundleError(str(error) if isinstance(error, MediaError) else f"{path}: holds text ({error})") from None
    for name, values in found.items():
        if not (np.abs(values) <= LARGEST).all():  # neither is NaN
            raise BundleError(f"{path}: {name} holds values that are no numbers, or beyond {LARGEST:g}")
    return found


def read_bytes(path: Path) -> bytes:
    """A file's contents. Raises BundleError when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from None


def _picture(path: Path, found: ByteArray | None) -> ByteArray:
    if found is None:
        raise BundleError(f"{path}: not a picture")
    return found
