"""A calm flow where the face ends: hair, temples, the edge of the jaw and the neck go along with the head as one.

The network moves the face well, but beside it, where a face that turns away leaves hair to be stretched, its flow of
64 x 64 wavers from cell to cell, and a hairline that was straight in the photo meanders. Nothing there moves by itself,
so that the flow is smoothed over several cells; within the face it stays as it is.
"""

from __future__ import annotations

import cv2
import numpy as np

from streamer.core.frames import FloatArray

MOVES = 0.1  # of the largest displacement by any expression: what moves less is about the face
LARGEST = 98  # percentile, so that the tongue alone does not set it
INNER = 0.85  # of the way from the middle of the face to its outline, which an outline that wavers may have crossed
SMOOTHED_OVER = 2.5  # standard deviation in cells; hairlines meander in waves of three to four
BORDER = 1.5  # standard deviation in cells, of the change from one to the other
PRECISION = 4  # binary digits of a cell in which the outline is drawn


class HeadOutline:
    """What is face and what is about it in the flow of one avatar's frames."""

    def __init__(self, keypoints: FloatArray, basis: FloatArray, cells: int) -> None:
        """keypoints: float32 [K, 2 or more] of the portrait, in -1..1; basis: [units, K, 2 or more], how the units of
        expression move them; cells: of the flow, a side."""
        moved = np.hypot(*np.abs(basis).max(axis=0)[:, :2].T)
        places = keypoints[moved > MOVES * np.percentile(moved, LARGEST), :2]
        middle = (places.min(0) + places.max(0)) / 2
        inner = (middle + (places - middle) * INNER + 1) * cells / 2 - 0.5
        outline = cv2.convexHull(inner.astype(np.float32)) * 2**PRECISION
        face = np.zeros((cells, cells), np.float32)
        cv2.fillConvexPoly(face, np.rint(outline).astype(np.int32), 1, shift=PRECISION)
        self._face = cv2.GaussianBlur(face, (0, 0), BORDER)

    def calmed(self, flow: FloatArray) -> FloatArray:
        """The flow [2, g, g], smoothed where the face is not."""
        edge = cv2.BORDER_REPLICATE
        about = np.stack([cv2.GaussianBlur(axis, (0, 0), SMOOTHED_OVER, borderType=edge) for axis in flow])
        return np.asarray(about + (flow - about) * self._face, np.float32)
