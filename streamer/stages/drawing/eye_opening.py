"""Eye openings of a photo, and how far a frame's keypoints close them.

All geometry is in an eye's local frame: x along the line between its corners, 0 at the left one in the picture and 1 at
the other; y downwards at right angles to it, in the same unit. The local frame moves with the head.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.core.frames import ByteArray, FloatArray

# Rings of MediaPipe's face mesh, from the eye's left corner in the picture along the lower lid to the right corner and
# back along the upper lid; and the lower edges of the brows.
RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
LEFT_EYE = (362, 382, 381, 380, 374, 373, 390, 249, 263, 466, 388, 387, 386, 385, 384, 398)
RIGHT_BROW, LEFT_BROW = (46, 53, 52, 65, 55), (276, 283, 282, 295, 285)
RIGHT_IRIS, LEFT_IRIS = (468, 469, 470, 471, 472), (473, 474, 475, 476, 477)

STRETCHED = 0.8  # of the way from the lashes up to the brow
LEAST_STRETCHED, MOST_STRETCHED = 0.2, 0.5
TOUCHING, LEAST_TOUCHING = 0.93, 0.4  # of the way: lids this close to each other count as shut
WIDER = 0.05  # by so much an eye is wider on each side than the landmarks, which lie inside the corners
NARROW = 0.06  # an eye of the photo that is less open counts as shut
MIDDLE = np.linspace(0.2, 0.8, 7)
# The lid edges are searched in a resampled picture of COLUMNS x ROWS that reaches BESIDE past the corners and BEYOND
# above and below the line between them. They lie at most ASIDE past a corner and OFF from the landmarks' edges.
COLUMNS, ROWS, BESIDE, BEYOND = 100, 66, 0.25, 0.5
ASIDE, OFF = 0.12, 0.14
CORE = 0.25  # margin from either edge, as a share of the landmarks' opening: everything between is certainly eye
DARK = 0.35  # of the skin's brightness
ROOTS_OVER, ROOTS_UNDER, ROOT = 0.06, 0.04, 0.015  # where lash roots lie about the upper edge; half of their thickness
ROUNDS = 3  # iterations of the segmentation
SMOOTH = 0.03  # standard deviation of the edges' smoothing, along the eye

Reals = NDArray[np.floating]
Complex = NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class Eye:
    """One eye in a set of keypoints.

    corner, axis: its local frame: the left corner and the vector to the other one. upper, lower: the points of the lids
    in that frame; iris: its centre.
    """

    corner: complex
    axis: complex
    upper: Complex
    lower: Complex
    iris: complex

    @classmethod
    def of(cls, points: Complex, ring: tuple[int, ...], iris: tuple[int, ...], wider: float = 0) -> Eye:
        """wider: distance by which each corner is moved outwards."""
        corner, axis = points[ring[0]], points[ring[8]] - points[ring[0]]
        corner, axis = corner - wider * axis, axis * (1 + 2 * wider)
        own = (points[list(ring)] - corner) / axis
        return cls(corner, axis, own[9:], own[1:8], complex((points[list(iris)].mean() - corner) / axis))


@dataclass(frozen=True, eq=False)
class Patch:
    """Part of a photo. pixels: uint8 [h, w, 3]; left, top: of the first pixel; side: of the photo, in pixels."""

    pixels: ByteArray
    left: int
    top: int
    side: int

    @classmethod
    def about(cls, photo: ByteArray, eye: Eye, margin: float) -> Patch:
        """Return the part of the photo within `margin` of the line between an eye's corners."""
        ends = (eye.corner + np.array([0, 1]) * eye.axis + (1 + 1j)) * (photo.shape[0] / 2)
        off = margin * abs(eye.axis) * photo.shape[0] / 2

        def span(values: Reals) -> slice:
            return slice(max(0, int(values.min() - off)), max(1, int(values.max() + off) + 1))

        rows, columns = span(ends.imag), span(ends.real)
        return cls(photo[rows, columns], columns.start, rows.start, photo.shape[0])

    def sampled(self, eye: Eye, places: Complex) -> ByteArray:
        """Return the pixels at places in an eye's frame, uint8 [..., 3]; beyond the patch, its border pixels."""
        source = (places * eye.axis + eye.corner + (1 + 1j)) * (self.side / 2) - (0.5 + 0.5j)
        maps = np.asarray(source.real - self.left, np.float32), np.asarray(source.imag - self.top, np.float32)
        return np.asarray(cv2.remap(self.pixels, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


class Edge:
    """Edge of a lid, as a line in an eye's frame."""

    def __init__(self, x: Reals, y: Reals) -> None:
        self._x, self._y = x, y

    @classmethod
    def over(cls, points: Complex) -> Edge:
        """Return the edge from corner to corner through the points between."""
        order = np.argsort(points.real)
        x, y = points.real[order], points.imag[order]
        return cls(np.concatenate([[0.0], x, [1.0]]), np.concatenate([[0.0], y, [0.0]]))

    def at(self, x: Reals) -> FloatArray:
        """Return y of the edge at x; beyond its ends, y of the nearer end."""
        return np.asarray(np.interp(x, self._x, self._y), np.float32)


class Opening:
    """One eye of the photo, and the state of its lids in a frame.

    The photo gives the position of the lids; the keypoints give their motion. Keypoints are points of the family's
    mesh, which may lack a vertex on a lid's edge where the landmarks have one.
    upper, lower: the edges of the lids; reach: height of the skin above them that stretches when they close.
    """

    def __init__(
        self,
        photo: ByteArray,
        landmarks: Complex,
        keypoints: Complex,
        ring: tuple[int, ...],
        iris: tuple[int, ...],
        brow: tuple[int, ...],
    ) -> None:
        self._ring, self._iris = ring, iris
        self.eye = Eye.of(landmarks, ring, iris, WIDER)
        self.upper, self.lower = Edge.over(self.eye.upper), Edge.over(self.eye.lower)
        over = (landmarks[list(brow)] - self.eye.corner) / self.eye.axis
        gap = float(self.upper.at(MIDDLE).mean() - over.imag.mean())
        self.reach = min(max(STRETCHED * gap, LEAST_STRETCHED), MOST_STRETCHED)
        self._still = Eye.of(keypoints, ring, iris)
        before, lower = self._still.upper, Edge.over(self._still.lower)
        self._way = lower.at(before.real) - before.imag
        self._known = self._way > NARROW / 2
        self._touching = TOUCHING
        open_now = float((self.lower.at(MIDDLE) - self.upper.at(MIDDLE)).mean())
        self.seen = open_now >= NARROW and bool(self._known.sum() >= 2)
        if self.seen:
            self.upper, self.lower = _edges(photo, self.eye, self.upper, self.lower)

    def shut_at(self, keypoints: Complex) -> None:
        """Set where the lids count as shut, from a full blink's keypoints: in very large eyes they move less far."""
        self._touching = float(np.clip(self._down(Eye.of(keypoints, self._ring, self._iris)), LEAST_TOUCHING, TOUCHING))

    def now(self, keypoints: Complex) -> tuple[Eye, float, complex]:
        """Return the photo's eye placed in a frame, the share that the upper lid covers, and the shift of the iris."""
        still, now = self._still, Eye.of(keypoints, self._ring, self._iris)
        turn = now.axis / still.axis
        corner = now.corner + turn * (self.eye.corner - still.corner)
        placed = replace(self.eye, corner=corner, axis=turn * self.eye.axis)
        return placed, float(np.clip(self._down(now) / self._touching, 0, 1)), now.iris - still.iris

    def _down(self, now: Eye) -> float:
        """Return the share of its way to the lower lid that the upper lid has moved."""
        return float(np.median((now.upper.imag - self._still.upper.imag)[self._known] / self._way[self._known]))


def openings(photo: ByteArray, landmarks: FloatArray, keypoints: FloatArray) -> list[Opening]:
    """Return the open eyes of a photo.

    photo: uint8 [P, P, 3]; landmarks: MediaPipe's mesh in it, [478, 2]; keypoints: the family's, [K, 2 or 3]; in -1..1.
    """
    seen, points = as_complex(landmarks), as_complex(keypoints)
    parts = ((RIGHT_EYE, RIGHT_IRIS, RIGHT_BROW), (LEFT_EYE, LEFT_IRIS, LEFT_BROW))
    return [opening for opening in (Opening(photo, seen, points, *part) for part in parts) if opening.seen]


def as_complex(keypoints: FloatArray) -> Complex:
    """Return points [K, 2 or 3] as x + iy."""
    return np.asarray(keypoints[:, 0] + 1j * keypoints[:, 1].astype(np.float64), np.complex128)


def _edges(photo: ByteArray, eye: Eye, upper: Edge, lower: Edge) -> tuple[Edge, Edge]:
    """Return the lid edges found in the photo's colours, nowhere more closed than the landmarks' edges given.

    Landmarks are off by a tenth of an eye on large eyes and at the outer corners, which would leave a white rim beside
    a closing lid. Eye and skin pixels are separated by colour: Rother, Kolmogorov, Blake, GrabCut (2004).
    """
    x = np.linspace(-BESIDE, 1 + BESIDE, COLUMNS)
    y = np.linspace(-BEYOND, BEYOND, ROWS)[:, None]
    top, bottom = upper.at(x), lower.at(x)
    between = (y - top) / np.maximum(bottom - top, 1e-6)
    picture = Patch.about(photo, eye, BEYOND + BESIDE).sampled(eye, x + 1j * y)
    light = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)
    near = (np.abs(x - 0.5) < 0.5 + ASIDE) & (y > top - OFF) & (y < bottom + OFF)
    core = (between > CORE) & (between < 1 - CORE)
    dark = DARK * np.median(light[~near])
    mask = np.full((ROWS, COLUMNS), cv2.GC_BGD, np.uint8)
    mask[near] = cv2.GC_PR_BGD
    if np.median(light[core]) < dark:  # as dark as lashes: only position tells them apart
        mask[(light < dark) & (y < top)] = cv2.GC_BGD
    mask[(between > 0) & (between < 1)] = cv2.GC_PR_FGD
    mask[core] = cv2.GC_FGD
    cv2.setRNGSeed(0)  # seeds GrabCut's colour clusters: the same edges each time
    cv2.grabCut(picture, mask, (0, 0, 0, 0), np.zeros((1, 65)), np.zeros((1, 65)), ROUNDS, cv2.GC_INIT_WITH_MASK)
    parts = cv2.connectedComponents(mask & 1)[1]  # GC_FGD and GC_PR_FGD are odd
    found = parts == np.bincount(parts[mask & 1 > 0]).argmax()
    some, half = found.any(0), (y[1, 0] - y[0, 0]) / 2
    first, last = y[found.argmax(0), 0] - half, y[ROWS - 1 - found[::-1].argmax(0), 0] + half
    top, bottom = np.where(some, np.minimum(top, first), top), np.where(some, np.maximum(bottom, last), bottom)
    top = _under_lashes(light, y[:, 0], top, bottom)
    across = SMOOTH / float(x[1] - x[0])
    over, under = (Edge(x, cv2.GaussianBlur(line[None], (0, 0), across)[0]) for line in (top, bottom))
    return over, under


def _under_lashes(light: ByteArray, rows: Reals, top: Reals, bottom: Reals) -> Reals:
    """Return the upper lid's edge, moved to the lower side of the lash roots, the darkest place nearby.

    light: brightness [R, C] of a picture with these rows; top, bottom: [C], the edges of the lids.
    """
    off = rows[:, None] - top
    soft = np.asarray(cv2.GaussianBlur(light, (0, 0), 1.0), np.float32)
    soft[(off < -ROOTS_OVER) | (off > ROOTS_UNDER)] = np.inf
    return np.where(bottom - top > NARROW, rows[soft.argmin(0)] + ROOT, top)
