"""Loading of untrusted photos in any common format: upright, 8-bit RGB, scaled to a working size.

The header's claims are checked before the pixels are decoded.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from streamer.core.errors import PhotoError
from streamer.core.frames import ByteArray
from streamer.photo.colour import to_srgb

try:
    from pi_heif import register_heif_opener
except ImportError:  # no wheel exists for this machine
    HEIF_READER = False
else:
    HEIF_READER = True
    register_heif_opener()

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF")
MOST_BYTES = 64 << 20
MOST_PIXELS = 100_000_000
MOST_MEMORY = 256 << 20  # bytes of decoded pixels; a JPEG can be decoded directly at 1/2, 1/4 or 1/8 scale
PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2}  # in Pillow's memory; 4 for all other modes
LEAST_SIDE = 64
WORKING_SIDE = 4096  # a longer side is scaled down to this, enough for a face that fills a part of the photo
BACKDROP = (236, 236, 236)  # behind transparent parts
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"mif1", b"msf1")


def load_photo(path: Path) -> ByteArray:
    """Return the picture [H, W, 3], RGB, rotated by its EXIF orientation, transparency on a plain backdrop.

    Raises:
        PhotoError: the file is not a picture, is damaged, too large or too small.
    """
    return load_cut_out(path)[0]


def load_cut_out(path: Path) -> tuple[ByteArray, ByteArray | None]:
    """Return the picture as `load_photo` does, and its opacity [H, W] 0..255, or None if fully opaque."""
    try:
        if not path.is_file():
            raise PhotoError(f"{path}: {'is a folder; expected a picture' if path.is_dir() else 'no such file'}")
        if (size := path.stat().st_size) > MOST_BYTES:
            raise PhotoError(f"{path}: {size >> 20} MiB, expected at most {MOST_BYTES >> 20} MiB")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, about odd metadata, and about sizes, which are checked here
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
    image.draft("RGB" if image.mode == "YCbCr" else image.mode, (WORKING_SIDE, WORKING_SIDE))
    width, height = image.size
    if (need := width * height * PIXEL_BYTES.get(image.mode, 4)) > MOST_MEMORY:
        raise PhotoError(
            f"{path}: {width}x{height} pixels take {need >> 20} MiB, expected at most {MOST_MEMORY >> 20}; "
            "make it smaller, or save it as JPEG"
        )
    small = _eight_bits(image)  # decodes the pixels
    small.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.LANCZOS, reducing_gap=2.0)
    upright = to_srgb(ImageOps.exif_transpose(small))
    if upright.mode == "RGB":
        return np.array(upright, np.uint8), None
    opacity = np.array(upright.getchannel("A"), np.uint8)
    backdrop = Image.new("RGBA", upright.size, (*BACKDROP, 255))
    rgb = np.array(Image.alpha_composite(backdrop, upright).convert("RGB"), np.uint8)
    return rgb, None if opacity.min() == 255 else opacity


def _eight_bits(image: Image.Image) -> Image.Image:
    """Convert to a mode that supports scaling and profiles: L, RGB, CMYK, LAB, LA or RGBA; palettes are resolved."""
    if image.mode.startswith(("I", "F")):  # grey with more than 8 bits
        values = np.asarray(image)
        full = 65535.0 if image.mode.startswith("I") else 1.0
        scale = 255 / max(full, float(values.max()))
        grey = Image.fromarray(np.asarray((values * np.float32(scale) + np.float32(0.5)).clip(0, 255), np.uint8))
    elif image.mode in ("L", "RGB", "CMYK", "LAB", "LA", "RGBA") and "transparency" not in image.info:
        image.load()
        return image
    else:
        alpha = image.mode in ("LA", "PA", "La", "RGBa", "RGBA") or "transparency" in image.info
        grey = image.convert("RGBA" if alpha else "L" if image.mode == "1" else "RGB")
    grey.info = {key: value for key, value in image.info.items() if key != "transparency"}
    return grey


def _what_else(path: Path) -> str:
    """Describe a file that is not a readable picture."""
    with path.open("rb") as file:
        start = file.read(16)
    if start[4:8] == b"ftyp" and start[8:12] in _HEIF_BRANDS:
        why = "damaged" if HEIF_READER else "for which the package pi-heif is needed (pip install pi-heif)"
        return f"a HEIC picture, {why}; or save it as JPEG"
    if not start:
        return "an empty file, expected a picture"
    return "not a picture; expected JPEG, HEIC, PNG, WebP, TIFF, BMP, GIF or AVIF"
