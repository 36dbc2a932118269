"""The size of an avatar's frames: that of the family's networks, or larger where the photo itself is warped."""

from __future__ import annotations

from engines.manifest import Manifest
from streamer.core.errors import ConfigError
from streamer.core.options import FRAME_SIZES, LARGEST_CUT_OUT, LARGEST_UNASKED, PLAIN_FACE, FaceOptions

LIVE_PIXELS = 1280 * 720  # of a whole photo that is shown live
ENOUGH = 0.75  # of a size: a photo with so many pixels loses detail at the next smaller one


def offered_sizes(manifest: Manifest) -> tuple[int, ...]:
    """Sides in pixels that frames of a family may have, smallest first.

    A family that warps the photo and paints over it (see `stages.drawing.photo_canvas`) has a picture of any size; one
    whose network draws the picture has its size alone.
    """
    if "paint" not in manifest.stages:
        return (manifest.size,)
    return tuple(sorted({manifest.size, *(size for size in FRAME_SIZES if size > manifest.size)}))


def frame_size(manifest: Manifest, photo: int, face: FaceOptions = PLAIN_FACE) -> int:
    """The side of frames of an avatar whose photo has `photo` pixels a side: the size that the options ask for, or the
    largest that the photo has pixels for. Unasked, it is at most LARGEST_UNASKED, or LARGEST_CUT_OUT on another
    background, as every pixel about the outline is then worked on."""
    most = face.size or (LARGEST_UNASKED if face.background is None else LARGEST_CUT_OUT)
    fitting = [size for size in offered_sizes(manifest) if size <= most and ENOUGH * size <= photo]
    return max(fitting, default=manifest.size)


def most_pixels(manifest: Manifest) -> int:
    """How many pixels a live picture of the family has at most: its largest frame, or a whole photo."""
    return max(offered_sizes(manifest)[-1] ** 2, LIVE_PIXELS)


def check(manifest: Manifest, asked: int | None) -> None:
    """Raise ConfigError when frames of the family are never of the size asked for."""
    if asked is not None and asked not in (offered := offered_sizes(manifest)):
        sizes = ", ".join(map(str, offered))
        raise ConfigError(f"size {asked}; family {manifest.family} has {sizes}")


def note(photo: int, asked: int | None, size: int) -> str | None:
    """One line for a person whose photo is smaller than the size asked for; None where it is not."""
    if asked is None or size >= asked:
        return None
    return f"the photo has {photo} pixels about the head, so frames are {size}x{size}, not {asked}x{asked}"
