"""Read and write the files of an avatar's bundle, except `avatar.json` (see `catalogue`).

`portrait.png` (or `portrait.webp`, the compact form of shipped faces), `matte.png` (grey), `whole.png` and
`preview.png` are pictures; `arrays.npz` holds the stages' constants.
Files are written atomically, and readable by their user only: a face is private.
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
MOST_BYTES = 256 << 20  # limit for `arrays.npz`
LARGEST = 1e5  # coordinates are around 1, positions in photos thousands of pixels


def portrait_file(folder: Path) -> Path:
    """Return the path of a bundle's portrait: the PNG, or the WebP of a shipped face if only that exists."""
    shipped = folder / SHIPPED_PORTRAIT
    return shipped if shipped.is_file() and not (folder / PORTRAIT).is_file() else folder / PORTRAIT


def write_picture(path: Path, picture: ByteArray) -> None:
    """Write an RGB [H, W, 3] or grey [H, W] picture. Raises OSError."""
    write_bytes(path, pictures.encode_png(picture), private=True)


def read_picture(path: Path) -> ByteArray:
    """Read an RGB picture, uint8 [H, W, 3]. Raises BundleError when it is missing or damaged."""
    return _picture(path, pictures.decode(read_bytes(path)))


def read_grey(path: Path) -> ByteArray:
    """Read a grey picture, uint8 [H, W]. Raises BundleError when it is missing or damaged."""
    return _picture(path, pictures.decode_grey(read_bytes(path)))


def write_arrays(path: Path, arrays: Mapping[str, FloatArray]) -> None:
    """Write the stages' constants. Raises OSError."""
    with replacing(path, private=True) as partial:
        npz.write(partial, arrays, {})


def read_arrays(path: Path) -> dict[str, FloatArray]:
    """Read the stages' constants, float32, by name. Raises BundleError: the file is missing, damaged or too large."""
    if not path.is_file():
        raise BundleError(f"{path}: missing")
    try:
        found = {name: np.asarray(array, np.float32) for name, array in npz.load(path, MOST_BYTES).items()}
    except (MediaError, ValueError) as error:
        raise BundleError(str(error) if isinstance(error, MediaError) else f"{path}: holds text ({error})") from None
    for name, values in found.items():
        if not (np.abs(values) <= LARGEST).all():  # also false for NaN
            raise BundleError(f"{path}: {name} holds values that are no numbers, or beyond {LARGEST:g}")
    return found


def read_bytes(path: Path) -> bytes:
    """Return a file's contents. Raises BundleError when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from None


def _picture(path: Path, found: ByteArray | None) -> ByteArray:
    if found is None:
        raise BundleError(f"{path}: not a picture")
    return found
