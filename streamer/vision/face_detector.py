"""Face detection with MediaPipe's BlazeFace models (Bazarevsky et al. 2019, arXiv 1907.05047).

The detectors take a small square copy of the picture, so a face must fill a certain part of it. If the whole picture
gives no face, overlapping square tiles of it are searched, in which a small face is large enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from engines.landmarks import open_model
from engines.runtime import Engine
from streamer.core.frames import ByteArray, FloatArray

LEAST_SCORE = 0.5
SAME_FACE = 0.3  # overlap (intersection over union) above which two boxes are one face
TILE_SHARES = (0.5, 0.25)  # of the longer side
LEAST_TILE = 400  # pixels: a face in a smaller tile would be too small to animate, or found in a larger one
_MOST_LOGIT = 80.0


@dataclass(frozen=True, eq=False)
class Detection:
    """One detected face, in pixels of the picture.

    box: left, top, right, bottom; points: [6, 2]: the person's right eye, left eye, nose tip, mouth, right ear, left
    ear.
    """

    score: float
    box: FloatArray
    points: FloatArray

    @property
    def size(self) -> float:
        """Longer side of the box."""
        return float(max(self.box[2] - self.box[0], self.box[3] - self.box[1]))


class FaceDetector:
    """Face detector with both models: for faces near the camera and for faces farther away."""

    def __init__(self) -> None:
        near = _anchors(128, ((8, 2), (16, 6)))
        far = _anchors(192, ((4, 1),))
        self._models = (
            _Blaze(open_model("near_faces"), 128, near),
            _Blaze(open_model("far_faces"), 192, far),
        )

    def detect(self, picture: ByteArray) -> list[Detection]:
        """Return the faces in an RGB picture [H, W, 3], in order of decreasing score."""
        height, width = picture.shape[:2]
        whole = (0, 0, width, height)
        found = self._look(picture, [whole])
        for share in TILE_SHARES:
            if found or share * max(width, height) < LEAST_TILE:
                break
            found = self._look(picture, list(_tiles(width, height, share)))
        return found

    def _look(self, picture: ByteArray, areas: list[tuple[int, int, int, int]]) -> list[Detection]:
        found = [face for area in areas for model in self._models for face in model.detect(picture, area)]
        return suppress(found)


class _Blaze:
    def __init__(self, model: Engine, size: int, anchors: FloatArray) -> None:
        self._model = model
        self._size = size
        self._anchors = anchors

    def detect(self, picture: ByteArray, area: tuple[int, int, int, int]) -> list[Detection]:
        """Return the faces in `area` (left, top, right, bottom) of the picture, in the picture's pixels."""
        left, top, right, bottom = area
        side = max(right - left, bottom - top)
        scale = self._size / side
        part = picture[top:bottom, left:right]
        across, down = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
        canvas = np.zeros((self._size, self._size, 3), np.float32)
        x, y = (self._size - across) // 2, (self._size - down) // 2
        canvas[y : y + down, x : x + across] = cv2.resize(part, (across, down), interpolation=cv2.INTER_AREA)
        results = self._model.infer({"picture": canvas[None] / np.float32(127.5) - np.float32(1.0)})
        count = len(self._anchors)
        scores = 1 / (1 + np.exp(-np.clip(results["scores"].reshape(count), -_MOST_LOGIT, _MOST_LOGIT)))
        boxes = results["boxes"].reshape(count, 8, 2) / self._size
        origin = np.array([left - x / scale, top - y / scale], np.float32)
        faces = []
        for index in np.flatnonzero(scores >= LEAST_SCORE):
            middle = boxes[index, 0] + self._anchors[index]
            half = boxes[index, 1] / 2
            corners = np.stack([middle - half, middle + half]) * side + origin
            points = (boxes[index, 2:] + self._anchors[index]) * side + origin
            faces.append(Detection(float(scores[index]), corners.ravel(), points))
        return faces


def _anchors(size: int, layers: tuple[tuple[int, int], ...]) -> FloatArray:
    """Return the anchors that raw boxes are relative to, [n, 2] in 0..1.

    For each (stride, count) in `layers`: `count` anchors per cell, row by row.
    """
    parts = []
    for stride, count in layers:
        line = (np.arange(size // stride, dtype=np.float32) + np.float32(0.5)) * np.float32(stride / size)
        grid = np.stack(np.meshgrid(line, line, indexing="xy"), -1).reshape(-1, 2)
        parts.append(np.repeat(grid, count, axis=0))
    return np.concatenate(parts).astype(np.float32)


def _tiles(width: int, height: int, share: float) -> Iterator[tuple[int, int, int, int]]:
    """Yield squares that overlap by half and cover the picture."""
    side = max(1, round(max(width, height) * share))
    step = max(1, side // 2)
    for top in range(0, max(1, height - step), step):
        for left in range(0, max(1, width - step), step):
            yield left, top, min(width, left + side), min(height, top + side)


def suppress(found: list[Detection]) -> list[Detection]:
    """Return one detection per face, highest score first; overlapping boxes are averaged, weighted by score."""
    left = sorted(found, key=lambda face: -face.score)
    kept = []
    while left:
        best = left[0]
        same = [face for face in left if face is best or _overlap(best.box, face.box) > SAME_FACE]
        left = [face for face in left if all(face is not other for other in same)]
        weights = np.array([face.score for face in same], np.float32)
        weights /= weights.sum()
        box = np.einsum("n,nk->k", weights, np.stack([face.box for face in same]))
        points = np.einsum("n,nkc->kc", weights, np.stack([face.points for face in same]))
        kept.append(Detection(best.score, box, points))
    return kept


def _overlap(a: FloatArray, b: FloatArray) -> float:
    """Return intersection over union, or 1 if one box lies mostly inside the other: a tile's edge may cut a face."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    shared = float(np.prod(np.maximum(high - low, 0)))
    areas = [float(np.prod(np.maximum(box[2:] - box[:2], 1e-6))) for box in (a, b)]
    return 1.0 if shared > 0.7 * min(areas) else shared / (sum(areas) - shared)
