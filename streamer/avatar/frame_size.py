"""The size of an avatar's frames: that of the family's networks, or larger if the family warps the photo itself."""

from __future__ import annotations

from engines.manifest import Manifest
from streamer.core.errors import ConfigError
from streamer.core.options import FRAME_SIZES, LARGEST_CUT_OUT, LARGEST_UNASKED, PLAIN_FACE, FaceOptions

LIVE_PIXELS = 1280 * 720  # limit for a whole photo in a live session
ENOUGH = 0.75  # of a size: a photo with at least this share of its pixels would lose detail at the next smaller size


def offered_sizes(manifest: Manifest) -> tuple[int, ...]:
    """Return the frame sizes of a family, as sides in pixels, smallest first.

    A family that warps the photo and paints over it (see `stages.drawing.photo_canvas`) can make pictures of any size;
    one whose network draws the picture has that network's size only.
    """
    if "paint" not in manifest.stages:
        return (manifest.size,)
    return tuple(sorted({manifest.size, *(size for size in FRAME_SIZES if size > manifest.size)}))


def frame_size(manifest: Manifest, photo: int, face: FaceOptions = PLAIN_FACE) -> int:
    """Return the frame side for an avatar whose photo has `photo` pixels a side.

    It is the size that the options ask for, or the largest below it that the photo has enough pixels for. The default
    is at most LARGEST_UNASKED, or LARGEST_CUT_OUT on another background, which costs work at every outline pixel.
    """
    most = face.size or (LARGEST_UNASKED if face.background is None else LARGEST_CUT_OUT)
    fitting = [size for size in offered_sizes(manifest) if size <= most and ENOUGH * size <= photo]
    return max(fitting, default=manifest.size)


def most_pixels(manifest: Manifest) -> int:
    """Return the largest number of pixels in a live picture of the family: its largest frame, or a whole photo."""
    return max(offered_sizes(manifest)[-1] ** 2, LIVE_PIXELS)


def check(manifest: Manifest, asked: int | None) -> None:
    """Check the size asked for. Raises ConfigError: the family has no frames of that size."""
    if asked is not None and asked not in (offered := offered_sizes(manifest)):
        sizes = ", ".join(map(str, offered))
        raise ConfigError(f"size {asked}; family {manifest.family} has {sizes}")


def note(photo: int, asked: int | None, size: int) -> str | None:
    """Return a line for the user whose photo is too small for the size asked for, or None."""
    if asked is None or size >= asked:
        return None
    return f"the photo has {photo} pixels about the head, so frames are {size}x{size}, not {asked}x{asked}"
