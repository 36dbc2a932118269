"""Likeness of a face to its portrait, and its sharpness, with pictures aligned to the portrait by eyes and nose.

Likeness is the correlation of brightness gradients over the face above the mouth, 1 for the same picture. It falls when
the face turns or blinks, and falls more when the face is smeared, overpainted or somebody else's. Sharpness is the
variance of the Laplacian over the same part, relative to the portrait's at the same size.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.core.frames import ByteArray, FloatArray

SIDE = 160  # pixels of the square that faces are aligned to
ANCHORS = (33, 133, 362, 263, 168, 1)  # corners of the eyes, root and tip of the nose
ABOVE_MOUTH = slice(8, 112)  # rows of the square
_PLACES = np.array([[0.22, 0.4], [0.41, 0.4], [0.59, 0.4], [0.78, 0.4], [0.5, 0.38], [0.5, 0.62]]) * SIDE
AT_REST, TURNED = 0.3, 0.7  # quantiles of how far the head is turned from the portrait

Grey = NDArray[np.float32]


@dataclass(frozen=True)
class Likeness:
    """Likeness and sharpness, at rest and in motion."""

    rest: float
    motion: float
    sharp_rest: float
    sharp_motion: float


def likeness(
    portrait: ByteArray,
    portrait_points: FloatArray,
    pictures: dict[int, ByteArray],
    points: FloatArray,
    turned: NDArray[np.float64],
) -> Likeness:
    """Compare pictures, by frame, and their landmarks [n, 478, 3] with a portrait and its landmarks [478, 3].

    turned: degrees by which each frame's head is turned from the portrait's.
    """
    scores = []
    for frame, picture in pictures.items():
        if not np.isfinite(points[frame, 0, 0]):
            continue
        side = picture.shape[0] / portrait.shape[0]
        shown = cv2.resize(
            portrait, None, fx=side, fy=side, interpolation=cv2.INTER_AREA if side < 1 else cv2.INTER_LINEAR
        )
        original = aligned(np.asarray(shown, np.uint8), portrait_points * side)[ABOVE_MOUTH]
        ours = aligned(picture, points[frame])[ABOVE_MOUTH]
        scores.append((turned[frame], _alike(original, ours), _sharpness(ours) / max(_sharpness(original), 1e-6)))
    table = np.array(scores)
    low, high = np.quantile(table[:, 0], (AT_REST, TURNED))
    rest, motion = (np.median(table[part], axis=0) for part in (table[:, 0] <= low, table[:, 0] >= high))
    return Likeness(*(round(float(v), 3) for v in (rest[1], motion[1], rest[2], motion[2])))


def aligned(picture: ByteArray, points: FloatArray) -> Grey:
    """Return the face in grey, [SIDE, SIDE], with its anchors rotated, scaled and shifted to common places."""
    found = points[list(ANCHORS), :2].astype(np.float32)
    matrix, _ = cv2.estimateAffinePartial2D(found, _PLACES.astype(np.float32), method=cv2.LMEDS)
    if matrix is None:
        raise ValueError("landmarks of a face that has no extent")
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    flags = cv2.INTER_AREA if matrix[0, 0] < 1 else cv2.INTER_LINEAR
    return np.asarray(
        cv2.warpAffine(grey, matrix, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32
    )


def _alike(a: Grey, b: Grey) -> float:
    across, down = (
        [cv2.Sobel(cv2.GaussianBlur(x, (0, 0), 1.5), cv2.CV_32F, *d) for x in (a, b)] for d in ((1, 0), (0, 1))
    )
    ours, theirs = np.concatenate([across[1], down[1]]), np.concatenate([across[0], down[0]])
    return float((ours * theirs).sum() / np.sqrt((ours**2).sum() * (theirs**2).sum() + 1e-9))


def _sharpness(grey: Grey) -> float:
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())
