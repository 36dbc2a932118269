"""Opens a photo from anywhere: any common format, upright, RGB, 8 bits, and of a size that is good to work with.

What a file claims of itself is checked before its pixels are decoded.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from streamer.core.errors import PhotoError
from streamer.core.frames import ByteArray

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF")
MOST_BYTES = 64 << 20
MOST_PIXELS = 100_000_000
LEAST_SIDE = 64
WORKING_SIDE = 4096  # a longer side is scaled down to this: plenty for a face of any size that fills some of it
BACKDROP = (236, 236, 236)  # behind transparent parts
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"mif1", b"msf1")


def load_photo(path: Path) -> ByteArray:
    """The picture [H, W, 3], RGB, turned as its EXIF orientation says, transparency laid on a plain backdrop.

    Raises:
        PhotoError: not a picture, damaged, or too large or too small.
    """
    return load_cut_out(path)[0]


def load_cut_out(path: Path) -> tuple[ByteArray, ByteArray | None]:
    """As `load_photo`, and how opaque each pixel is, [H, W] 0..255; None where all of it is."""
    try:
        if not path.is_file():
            raise PhotoError(f"{path}: {'is a folder; expected a picture' if path.is_dir() else 'no such file'}")
        if (size := path.stat().st_size) > MOST_BYTES:
            raise PhotoError(f"{path}: {size >> 20} MiB, expected at most {MOST_BYTES >> 20} MiB")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, about odd metadata and sizes that are checked here
            with Image.open(path, formats=FORMATS) as image:
                return _read(path, image)
    except UnidentifiedImageError:
        raise PhotoError(f"{path}: {_what_else(path)}") from None
    except Image.DecompressionBombError:  # Pillow's own limit, which is higher
        most = MOST_PIXELS // 1_000_000
        raise PhotoError(f"{path}: many more pixels than the {most} million taken at most; make it smaller") from None
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or "a damaged or cut-off picture"
        raise PhotoError(f"{path}: cannot be read: {reason}") from None


def _read(path: Path, image: Image.Image) -> tuple[ByteArray, ByteArray | None]:
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise PhotoError(
            f"{path}: {width}x{height} pixels, expected at most {MOST_PIXELS // 1_000_000} million; make it smaller"
        )
    if min(width, height) < LEAST_SIDE:
        raise PhotoError(f"{path}: {width}x{height} pixels, expected at least {LEAST_SIDE}x{LEAST_SIDE}")
    image.draft("RGB", (WORKING_SIDE, WORKING_SIDE))  # a large JPEG is decoded at a half or a quarter at once
    upright = ImageOps.exif_transpose(image)
    upright.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
    opacity = np.asarray(upright.convert("RGBA").getchannel("A"), np.uint8).copy() if _has_alpha(upright) else None
    if opacity is not None and opacity.min() == 255:
        opacity = None
    return np.asarray(_to_rgb(upright), np.uint8).copy(), opacity


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):  # grey of more than 8 bits
        values = np.asarray(image, np.float64)
        full = 65535.0 if image.mode.startswith("I") else 1.0
        if values.max() > full:
            full = float(values.max())
        image = Image.fromarray(np.asarray((values / full).clip(0, 1) * 255 + 0.5, np.uint8))
    if _has_alpha(image):
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, (*BACKDROP, 255)), layer).convert("RGB")
    return image.convert("RGB")


def _what_else(path: Path) -> str:
    """What a file that is no picture is."""
    with path.open("rb") as file:
        start = file.read(16)
    if start[4:8] == b"ftyp" and start[8:12] in _HEIF_BRANDS:
        return "a HEIC picture, which this version does not read; save it as JPEG"
    if not start:
        return "an empty file, expected a picture"
    return "not a picture; expected JPEG, PNG, WebP, TIFF, BMP, GIF or AVIF"
