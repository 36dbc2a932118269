"""Lids that close over the eyes, made of the photo's own skin.

A warp that carries the upper lid down squeezes the eye under it, and paint over that has to guess skin and lashes. A
lid slides: the skin between brow and lashes is stretched, the lashes come down whole, and the eye behind stays as it
is. So the pixels about a closing eye are taken from the photo along lines across it, and laid over the picture.

All geometry is in an eye's own frame: x along the line between its corners, 0 at the left one in the picture and 1 at
the other, y downwards at right angles to it, in the same unit. The head's motion is that frame's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.core.frames import ByteArray, FloatArray

# Rings of MediaPipe's face mesh from the left corner in the picture along the lower lid to the right one and back, and
# the lower edge of the brow over it.
RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
LEFT_EYE = (362, 382, 381, 380, 374, 373, 390, 249, 263, 466, 388, 387, 386, 385, 384, 398)
RIGHT_BROW, LEFT_BROW = (46, 53, 52, 65, 55), (276, 283, 282, 295, 285)
RIGHT_IRIS, LEFT_IRIS = (468, 469, 470, 471, 472), (473, 474, 475, 476, 477)

STRETCHED = 0.8  # of the way from the lashes up to the brow
LEAST_STRETCHED, MOST_STRETCHED = 0.2, 0.5
BELOW = 0.34  # of skin under the lower lid that is laid, too
EDGE, EDGE_BELOW = 0.06, 0.03  # of the lid: moved as one
LASHES = 0.22  # over the lid's edge they reach up, and point to the viewer when it is down: no skin is taken there
BESIDE = 0.14  # beyond the corners, where the lids fade into the picture
FEATHER = 0.1
TOUCHING = 0.93  # of the way: lids that come so near each other are shut
SMOOTH = 0.05  # standard deviation over which stretched skin is smoothed, across
LASHES_SHARE = 0.6  # of what is stretched, at most
WIDER = 0.05  # than the landmarks have it is an eye: they lie inside the corners
BEYOND = 0.04  # the edge of the lower lid in the landmarks goes the upper one, over the white that is left there
NARROW = 0.06  # an eye in the photo that is less open is shut
BEGINS, WHOLE = 0.06, 0.25  # shares of an eye's opening that are covered when its lids begin to show, and show wholly
MIDDLE = np.linspace(0.2, 0.8, 7)

Reals = NDArray[np.floating]
Complex = NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class _Eye:
    """One eye in a set of keypoints: its frame (`corner` is a point, `axis` leads to the other corner), the points of
    both lids in it, and its iris's middle."""

    corner: complex
    axis: complex
    upper: Complex
    lower: Complex
    iris: complex

    @classmethod
    def of(cls, points: Complex, ring: tuple[int, ...], iris: tuple[int, ...], wider: float = 0) -> _Eye:
        """wider: by how much the corners are moved apart, on each side."""
        corner, axis = points[ring[0]], points[ring[8]] - points[ring[0]]
        corner, axis = corner - wider * axis, axis * (1 + 2 * wider)
        own = (points[list(ring)] - corner) / axis
        return cls(corner, axis, own[9:], own[1:8], complex((points[list(iris)].mean() - corner) / axis))


class _Lid:
    """A lid's edge as a line from corner to corner over the points between."""

    def __init__(self, points: Complex) -> None:
        order = np.argsort(points.real)
        self._x = np.concatenate([[0.0], points.real[order], [1.0]])
        self._y = np.concatenate([[0.0], points.imag[order], [0.0]])

    def at(self, x: Reals) -> FloatArray:
        """y of the edge; 0 beyond the corners."""
        return np.asarray(np.interp(x, self._x, self._y), np.float32)


class _Opening:
    """One eye of the photo, and what a frame's keypoints say of its lids.

    Where the lids are is known from the photo's landmarks; how they move, from the keypoints. Those are points of the
    family's mesh, which may have no vertex on a lid's edge where the landmarks have one.
    """

    def __init__(
        self,
        landmarks: Complex,
        keypoints: Complex,
        ring: tuple[int, ...],
        iris: tuple[int, ...],
        brow: tuple[int, ...],
    ) -> None:
        self._ring, self._iris = ring, iris
        self.eye = _Eye.of(landmarks, ring, iris, WIDER)
        self.upper, self.lower = _Lid(self.eye.upper), _Lid(self.eye.lower)
        over = (landmarks[list(brow)] - self.eye.corner) / self.eye.axis
        gap = float(self.upper.at(MIDDLE).mean() - over.imag.mean())
        self.reach = min(max(STRETCHED * gap, LEAST_STRETCHED), MOST_STRETCHED)
        self.lashes = min(LASHES, LASHES_SHARE * self.reach)
        self._still = _Eye.of(keypoints, ring, iris)
        before, lower = self._still.upper, _Lid(self._still.lower)
        self._way = lower.at(before.real) - before.imag
        self._known = self._way > NARROW / 2
        open_now = float((self.lower.at(MIDDLE) - self.upper.at(MIDDLE)).mean())
        self.seen = open_now >= NARROW and bool(self._known.sum() >= 2)

    def now(self, keypoints: Complex) -> tuple[_Eye, float, complex]:
        """The photo's eye where it is in a frame, the share of it that the upper lid covers, and its glance."""
        still, now = self._still, _Eye.of(keypoints, self._ring, self._iris)
        down = (now.upper.imag - still.upper.imag)[self._known] / self._way[self._known]
        turn = now.axis / still.axis
        corner = now.corner + turn * (self.eye.corner - still.corner)
        placed = replace(self.eye, corner=corner, axis=turn * self.eye.axis)
        return placed, float(np.clip(np.median(down) / TOUCHING, 0, 1)), now.iris - still.iris


class Eyelids:
    """Lays shut lids over frames of one photo."""

    def __init__(self, photo: ByteArray, landmarks: FloatArray, keypoints: FloatArray) -> None:
        """photo: uint8 [S, S, 3], of any size; landmarks: where MediaPipe's mesh lies in it, [478, 2], and the family's
        keypoints of it, [K, 2 or 3], in -1..1."""
        seen, points = _complex(landmarks), _complex(keypoints)
        parts = ((RIGHT_EYE, RIGHT_IRIS, RIGHT_BROW), (LEFT_EYE, LEFT_IRIS, LEFT_BROW))
        self._photo = photo
        self._eyes = [opening for opening in (_Opening(seen, points, *part) for part in parts) if opening.seen]

    def lay(self, frame: ByteArray, keypoints: FloatArray) -> None:
        """Lay the lids over uint8 [s, s, 3] where they are further shut than in the photo. keypoints: the frame's."""
        points = _complex(keypoints)
        for opening in self._eyes:
            now, covered, glance = opening.now(points)
            shown = float(_ramp((covered - BEGINS) / (WHOLE - BEGINS)))
            if shown > 0:
                self._lay(frame, opening, now, covered, glance, shown)

    def _lay(
        self, frame: ByteArray, opening: _Opening, now: _Eye, covered: float, glance: complex, shown: float
    ) -> None:
        size, eye = frame.shape[0], opening.eye
        rows, columns = _box(now, opening.reach, size)
        if rows.start == rows.stop or columns.start == columns.stop:
            return  # the eye has left the picture
        line = (np.arange(size) + 0.5) * (2 / size) - 1
        place = (line[columns][None] + 1j * line[rows][:, None] - now.corner) / now.axis
        parts = _origin(place, opening, covered, glance, 2 / size / abs(now.axis))
        skin, edge, behind = (self._sampled(eye, came) for came in (parts.skin, parts.edge, parts.behind))
        smooth = SMOOTH * abs(now.axis) * size / 2
        soft = np.asarray(cv2.GaussianBlur(skin, (0, 0), smooth, sigmaY=0.6), np.uint8)
        lid = _mixed(soft, edge, parts.at_edge)
        frame[rows, columns] = _mixed(
            frame[rows, columns], _mixed(behind, lid, parts.lid), parts.alpha * np.float32(shown)
        )

    def _sampled(self, eye: _Eye, came: Complex) -> ByteArray:
        """The photo at places in an eye's frame."""
        source = (came * eye.axis + eye.corner + (1 + 1j)) * (self._photo.shape[0] / 2) - (0.5 + 0.5j)
        maps = np.asarray(source.real, np.float32), np.asarray(source.imag, np.float32)
        found = cv2.remap(self._photo, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(found, np.uint8)


class _Parts(NamedTuple):
    """Where in the photo's eye each place comes from, if the lid's skin, its edge or what is behind it is there; and
    the share of edge in the lid, of the lid over what is behind, and of all of this over the picture, 0..1."""

    skin: Complex
    edge: Complex
    behind: Complex
    at_edge: FloatArray
    lid: FloatArray
    alpha: FloatArray


def _origin(place: Complex, opening: _Opening, covered: float, glance: complex, pixel: float) -> _Parts:
    """pixel: the width of one in the eye's frame, over which borders are soft."""
    x, y = np.asarray(place.real, np.float32), np.asarray(place.imag, np.float32)
    over, under = opening.upper.at(x), opening.lower.at(x)
    over_now = over + np.float32(covered) * (under + BEYOND - over)
    top, bottom, edge_now = over - opening.reach, under + BELOW, over_now - EDGE
    tips = over - EDGE - (opening.lashes - EDGE) * _ramp(2 * covered)
    skin = top + (y - top) * (tips - top) / np.maximum(edge_now - top, 1e-3)
    eyeball = np.clip(y - np.float32(glance.imag), over + EDGE_BELOW, np.maximum(under, over + EDGE_BELOW))
    behind = np.where(y < under, x - np.float32(glance.real) + 1j * eyeball, x + 1j * y)
    sides = _ramp((x + BESIDE) / BESIDE) * _ramp((1 + BESIDE - x) / BESIDE)
    return _Parts(
        x + 1j * skin,
        x + 1j * (y - over_now + over),
        behind,
        _ramp((y - edge_now) / (2 * pixel) + 0.5),
        _ramp((over_now + EDGE_BELOW - y) / (2 * pixel) + 0.5),
        sides * _ramp((y - top) / FEATHER) * _ramp((bottom - y) / FEATHER),
    )


def _mixed(under: ByteArray, over: ByteArray, share: FloatArray) -> ByteArray:
    weight = share[..., None]
    return np.asarray(under * (1 - weight) + over * weight + np.float32(0.5), np.uint8)


def _box(eye: _Eye, reach: float, size: int) -> tuple[slice, slice]:
    """Rows and columns of a frame of `size` pixels in which an eye's lids may lie."""
    highest, lowest = float(eye.upper.imag.min()) - MOST_STRETCHED - reach, float(eye.lower.imag.max()) + 2 * BELOW
    ends = np.array([x + 1j * y for x in (-BESIDE, 1 + BESIDE) for y in (highest, lowest)])
    pixels = (ends * eye.axis + eye.corner + (1 + 1j)) * (size / 2)

    def span(values: Reals) -> slice:
        first, last = (int(end) for end in np.clip([np.floor(values.min()), np.ceil(values.max())], 0, size))
        return slice(first, last)

    return span(pixels.imag), span(pixels.real)


def _complex(keypoints: FloatArray) -> Complex:
    return np.asarray(keypoints[:, 0] + 1j * keypoints[:, 1].astype(np.float64), np.complex128)


def _ramp(x: Reals | float) -> FloatArray:
    """0 below 0, 1 above 1, smooth between."""
    within = np.clip(x, 0, 1)
    return np.asarray(within * within * (3 - 2 * within), np.float32)
