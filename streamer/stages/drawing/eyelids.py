"""Closing eyelids, drawn from the photo's own skin.

A warp that moves the upper lid down squeezes the eye under it, and painting over that has to guess skin and lashes. A
real lid slides: the skin between brow and lashes stretches, the lashes move down as a whole, and the eye behind stays
as it is. So the pixels around a closing eye are sampled from the photo along vertical lines and drawn over the picture.
Lengths are in an eye's local frame (see `eye_opening`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np

from streamer.core.frames import ByteArray, FloatArray
from streamer.stages.drawing.eye_opening import MOST_STRETCHED, Complex, Eye, Opening, Patch, Reals, as_complex

BELOW = 0.34  # height of the skin below the lower lid that is drawn too
EDGE, EDGE_BELOW = 0.06, 0.03  # above and below the lid's edge: moved as one piece
LASHES = 0.22  # height above the lid's edge; on a lowered lid they point to the viewer: no skin is sampled there
LASHES_SHARE = 0.6  # largest share of the stretched skin
HAIR = 0.14  # dark lines up to this width are lashes, not skin
BESIDE = 0.14  # beyond the corners, where the lids fade into the picture
FEATHER = 0.1
SMOOTH = 0.05  # standard deviation over which stretched skin is smoothed, across
BEYOND = 0.04  # the upper lid goes this far past the lower lid's edge, to cover the white left there
NEARLY = 0.8  # covered share from which the rim of eye under the lid's edge fades out
BEGINS, WHOLE = 0.06, 0.25  # covered shares of the opening at which the lids begin to show and are fully drawn


class Eyelids:
    """Renderer of closing lids for the frames of one photo."""

    def __init__(self, photo: ByteArray, eyes: Sequence[Opening]) -> None:
        """photo: uint8 [S, S, 3], of any size; eyes: its open eyes."""
        self._eyes = [(opening, *_patches(photo, opening.eye)) for opening in eyes]

    def lay(self, frame: ByteArray, keypoints: FloatArray) -> None:
        """Draw the lids onto uint8 [s, s, 3] where they are more closed than in the photo. keypoints: the frame's."""
        points = as_complex(keypoints)
        for opening, own, bare in self._eyes:
            now, covered, glance = opening.now(points)
            shown = np.float32(_ramp((covered - BEGINS) / (WHOLE - BEGINS)))
            rows, columns = _box(now, opening.reach, frame.shape[0])
            under = frame[rows, columns]
            if shown > 0 and under.size:  # otherwise the eye is outside the picture
                pixel = 2 / frame.shape[0]
                place = _places(rows, columns, pixel, now)
                parts = _origin(place, opening, covered, glance, pixel / abs(now.axis))
                soft = _smoothed(bare.sampled(opening.eye, parts.skin), SMOOTH * abs(now.axis) / pixel)
                lid = _mixed(soft, own.sampled(opening.eye, parts.edge), parts.at_edge)
                whole = _mixed(own.sampled(opening.eye, parts.behind), lid, parts.lid)
                under[:] = _mixed(under, whole, parts.alpha * shown)


def _patches(photo: ByteArray, eye: Eye) -> tuple[Patch, Patch]:
    """Return the photo around an eye, unchanged and with the lashes removed."""
    patch = Patch.about(photo, eye, MOST_STRETCHED + BELOW)
    width = max(1, round(HAIR * abs(eye.axis) * photo.shape[0] / 2))
    round_about = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    bare = np.asarray(cv2.morphologyEx(patch.pixels, cv2.MORPH_CLOSE, round_about), np.uint8)
    return patch, replace(patch, pixels=bare)


def _places(rows: slice, columns: slice, pixel: float, eye: Eye) -> Complex:
    """Return a frame's pixel positions in an eye's local frame."""
    x, y = (np.arange(part.start, part.stop) + 0.5 for part in (columns, rows))
    return np.asarray((x[None] * pixel - 1 + 1j * (y[:, None] * pixel - 1) - eye.corner) / eye.axis, np.complex128)


def _smoothed(skin: ByteArray, across: float) -> ByteArray:
    return np.asarray(cv2.GaussianBlur(skin, (0, 0), across, sigmaY=0.6), np.uint8)


class _Parts(NamedTuple):
    """Sources and weights of each pixel around an eye.

    skin, edge, behind: the place in the photo's eye to sample for the lid's skin, its edge, and the eye behind it.
    at_edge, lid, alpha: weight of the edge within the lid, of the lid over the eye, and of both over the picture,
    0..1.
    """

    skin: Complex
    edge: Complex
    behind: Complex
    at_edge: FloatArray
    lid: FloatArray
    alpha: FloatArray


def _origin(place: Complex, opening: Opening, covered: float, glance: complex, pixel: float) -> _Parts:
    """Return the sources and weights of the pixels at `place`.

    pixel: width of one pixel in the eye's frame; borders are softened over it.
    """
    x, y = np.asarray(place.real, np.float32), np.asarray(place.imag, np.float32)
    over, under = opening.upper.at(x), opening.lower.at(x)
    over_now = over + np.float32(covered) * (under + BEYOND - over)
    top, bottom, edge_now = over - opening.reach, under + BELOW, over_now - EDGE
    lashes = min(LASHES, LASHES_SHARE * opening.reach)
    tips = over - EDGE - (lashes - EDGE) * _ramp(2 * covered)
    skin = top + (y - top) * (tips - top) / np.maximum(edge_now - top, 1e-3)
    eyeball = np.clip(y - np.float32(glance.imag), over + EDGE_BELOW, np.maximum(under, over + EDGE_BELOW))
    behind = np.where(y < under, x - np.float32(glance.real) + 1j * eyeball, x + 1j * y)
    rim = EDGE_BELOW * (1 - _ramp((covered - NEARLY) / (1 - NEARLY)))
    sides = _ramp((x + BESIDE) / BESIDE) * _ramp((1 + BESIDE - x) / BESIDE)
    return _Parts(
        x + 1j * skin,
        x + 1j * (y - over_now + over),
        behind,
        _ramp((y - edge_now) / (2 * pixel) + 0.5),
        _ramp((over_now + rim - y) / (2 * pixel) + 0.5),
        sides * _ramp((y - top) / FEATHER) * _ramp((bottom - y) / FEATHER),
    )


def _mixed(under: ByteArray, over: ByteArray, share: FloatArray) -> ByteArray:
    weight = share[..., None]
    return np.asarray(under * (1 - weight) + over * weight + np.float32(0.5), np.uint8)


def _box(eye: Eye, reach: float, size: int) -> tuple[slice, slice]:
    """Return the rows and columns of a frame of `size` pixels that an eye's lids can touch."""
    highest, lowest = float(eye.upper.imag.min()) - MOST_STRETCHED - reach, float(eye.lower.imag.max()) + 2 * BELOW
    ends = np.array([x + 1j * y for x in (-BESIDE, 1 + BESIDE) for y in (highest, lowest)])
    pixels = (ends * eye.axis + eye.corner + (1 + 1j)) * (size / 2)

    def span(values: Reals) -> slice:
        first, last = (int(end) for end in np.clip([np.floor(values.min()), np.ceil(values.max())], 0, size))
        return slice(first, last)

    return span(pixels.imag), span(pixels.real)


def _ramp(x: Reals | float) -> FloatArray:
    """Return a smooth step: 0 below 0, 1 above 1."""
    within = np.clip(x, 0, 1)
    return np.asarray(within * within * (3 - 2 * within), np.float32)
