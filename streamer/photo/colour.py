"""Conversion of a photo's colours to sRGB, from embedded ICC profiles, HEIF colour tags or camera metadata.

Most phones save Display P3, some cameras Adobe RGB, print shops CMYK. Read as sRGB, skin in them would look grey.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from streamer.core.frames import ByteArray

# Image mode to the colour space that its profile must have.
_SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab"}
# Primaries by number in ITU-T H.273: (x, y) of red, green, blue, white.
_SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), (0.3127, 0.3290))
_PRIMARIES = {
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), (0.3127, 0.3290)),  # BT.2020
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.3127, 0.3290)),  # Display P3
}
_ADOBE = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), (0.3127, 0.3290))
_ADOBE_GAMMA = 563 / 256
_EXIF_INTEROPERABILITY, _INDEX = 0xA005, 1  # value "R03" means Adobe RGB (Exif 2.3, DCF 2.0)
Primaries = tuple[tuple[float, float], ...]
_STRIP = 256  # rows converted at a time


def to_srgb(image: Image.Image) -> Image.Image:
    """Convert a picture to 8-bit RGB or RGBA in sRGB. A damaged profile is ignored."""
    opacity = None
    if image.mode in ("RGBA", "LA"):
        opacity = image.getchannel("A")
        image = _with_info(image.convert(image.mode[:-1]), image)
    plain = _by_profile(image)
    if plain is None:
        plain = _by_primaries(image.convert("RGB"), image)
    if opacity is not None:
        plain.putalpha(opacity)
    return plain


def _with_info(image: Image.Image, original: Image.Image) -> Image.Image:
    image.info = dict(original.info)
    return image


def _by_profile(image: Image.Image) -> Image.Image | None:
    """Convert by the embedded profile; return None if the image has no suitable one."""
    embedded = image.info.get("icc_profile")
    if not embedded:
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(embedded))
        if profile.profile.xcolor_space.strip() != _SPACES.get(image.mode):
            return None
        converted = ImageCms.profileToProfile(
            image,
            profile,
            ImageCms.createProfile("sRGB"),
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            "RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    return converted


def _by_primaries(rgb: Image.Image, original: Image.Image) -> Image.Image:
    nclx = original.info.get("nclx_profile") or {}
    if primaries := _PRIMARIES.get(int(nclx.get("color_primaries", 0))):
        return _converted(rgb, primaries, _srgb_to_linear)
    try:
        adobe = str(original.getexif().get_ifd(_EXIF_INTEROPERABILITY).get(_INDEX, "")).startswith("R03")
    except (OSError, ValueError, TypeError, KeyError, SyntaxError):
        adobe = False
    return _converted(rgb, _ADOBE, lambda value: value**_ADOBE_GAMMA) if adobe else rgb


def _converted(
    rgb: Image.Image, primaries: Primaries, to_linear: Callable[[NDArray[np.float32]], NDArray[np.float32]]
) -> Image.Image:
    linear = np.asarray(to_linear(np.arange(256, dtype=np.float32) / np.float32(255)), np.float32)
    table = np.asarray((np.linalg.inv(_to_xyz(_SRGB)) @ _to_xyz(primaries)).T, np.float32)
    picture: ByteArray = np.array(rgb, np.uint8)
    for row in range(0, len(picture), _STRIP):
        strip = picture[row : row + _STRIP]
        light = np.clip(linear[strip] @ table, 0, 1)
        coded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** np.float32(1 / 2.4) - 0.055)
        strip[...] = coded * 255 + 0.5
    return Image.fromarray(picture)


def _srgb_to_linear(value: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _to_xyz(primaries: Primaries) -> NDArray[np.float64]:
    """Return the matrix from linear RGB to CIE XYZ (SMPTE RP 177); without white point adaptation."""
    *colours, (white_x, white_y) = primaries
    columns = np.array([(x / y, 1.0, (1 - x - y) / y) for x, y in colours]).T
    white = np.array((white_x / white_y, 1.0, (1 - white_x - white_y) / white_y))
    return np.asarray(columns * np.linalg.solve(columns, white), np.float64)
