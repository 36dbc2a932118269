"""Prior of the person's position in a portrait, relative to the face.

Lengths are in faces: across in widths (ear to ear), upwards in heights (chin to hairline), from the face's middle.
Values are estimated by eye from portraits with all hairstyles.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.core.frames import FloatArray
from streamer.vision.landmarks import MESH_POINTS

HAIRLINE, CHIN, RIGHT_EAR, LEFT_EAR = 10, 152, 234, 454
NARROWEST = 0.72  # of its height: a face in three-quarter view
SKULL = (0.08, 0.50, 0.58)  # middle (up), radii: certainly the person
HAIR = (-0.02, 1.05, 0.98)  # possibly the person
NARROW_SHOULDERS = (0.30, 0.36, 0.60, 1.00, 1.60, 2.00)
BROAD_SHOULDERS = (0.30, 0.36, 0.70, 1.30, 2.20, 2.60)
SHOULDERS_AT = (0.30, 0.62, 0.80, 1.00, 1.25, 3.00)  # distances below the face's middle for the half widths above
MOST = 6.0

Pixels = NDArray[np.int32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class FacePlace:
    """Position of a face: its convex outline [n, 1, 2], and hairline, chin and both ears [4, 2]; in pixels."""

    outline: FloatArray
    ends: FloatArray

    @classmethod
    def of(cls, landmarks: FloatArray) -> FacePlace:
        """Return the position given by landmarks [478, 2+]."""
        mesh = np.ascontiguousarray(landmarks[:MESH_POINTS, :2], np.float32)
        return cls(np.asarray(cv2.convexHull(mesh), np.float32), mesh[[HAIRLINE, CHIN, RIGHT_EAR, LEFT_EAR]])

    @classmethod
    def usual(cls, size: int) -> FacePlace:
        """Return the usual position, for a picture in which no face is found."""
        angles = np.linspace(0, 2 * np.pi, 32, endpoint=False)
        ring = np.stack([0.5 + 0.2 * np.sin(angles), 0.5 - 0.27 * np.cos(angles)], 1) * size
        return cls(np.asarray(ring[:, None], np.float32), np.asarray(ring[[0, 16, 24, 8]], np.float32))

    def scaled(self, factor: float) -> FacePlace:
        """Return the position in a picture `factor` times as large."""
        return FacePlace(self.outline * np.float32(factor), self.ends * np.float32(factor))

    def inside(self, size: int) -> Mask:
        """Return the mask of the face, [size, size]."""
        mask = np.zeros((size, size), np.uint8)
        cv2.fillPoly(mask, [np.round(self.outline).astype(np.int32)], 1)
        return mask > 0

    def coordinates(self, size: int) -> tuple[FloatArray, FloatArray]:
        """Return each pixel's coordinates across and up, [size, size], in faces."""
        top, chin, right, left = self.ends
        height = max(float(np.linalg.norm(top - chin)), 1.0)
        width = max(float(np.linalg.norm(left - right)), NARROWEST * height)
        up = (top - chin) / height
        middle = self.ends.mean(0)
        y, x = np.mgrid[:size, :size].astype(np.float32) + np.float32(0.5)
        x, y = x - middle[0], y - middle[1]
        across = (x * -up[1] + y * up[0]) / width
        return np.asarray(across, np.float32), np.asarray((x * up[0] + y * up[1]) / height, np.float32)


def log_odds(
    across: FloatArray, up: FloatArray, shoulders: tuple[float, ...], doubt: float, mane: float = 1.0
) -> FloatArray:
    """Return the log odds of person against background at each place.

    doubt: log odds subtracted for hair and body; mane: reach of the hair, 1 as for most hair. Photos differ, so the
    caller tries several values of both.
    """
    down, aside = -up, np.abs(across)
    skull = np.interp(_radius(across, up, SKULL), [0, 0.95, 1.1], [MOST, 4, -doubt])
    skull[_radius(across, up, SKULL) >= 1.1] = -MOST
    hair = np.interp(_radius(across, up, HAIR) / mane, [0, 0.62, 0.85, 1, 1.3], [2, 1.2, 0, -1.5, -5]) - doubt
    within = np.interp(down, SHOULDERS_AT, shoulders) - aside
    body = np.where(down > 0.35, np.interp(within, [-0.6, 0, 0.25], [-4, 0, 3]) - doubt, -MOST)
    beside_neck = np.interp(aside / mane, [0.3, 0.75, 1, 1.4], [0.3, -0.2, -1, -4]) - doubt
    long_hair = np.where((down > -0.1) & (down < 1.3 * mane), beside_neck, -MOST)
    return np.asarray(np.maximum.reduce([skull, hair, body, long_hair]).clip(-5, MOST), np.float32)


def _radius(across: FloatArray, up: FloatArray, ellipse: tuple[float, float, float]) -> FloatArray:
    """Return the radius relative to an ellipse: 1 on it."""
    middle, wide, high = ellipse
    return np.asarray(np.hypot(across / wide, (up - middle) / high))
