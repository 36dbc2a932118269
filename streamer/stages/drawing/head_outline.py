"""Smoothing of the flow outside the face: hair, temples, jaw edge and neck move with the head as one piece.

The network moves the face well, but beside it, where a turning face stretches the hair, its 64 x 64 flow varies from
cell to cell, and a hairline that is straight in the photo becomes wavy. Nothing there moves independently, so the flow
is smoothed over several cells; within the face it stays as it is.
"""

from __future__ import annotations

import cv2
import numpy as np

from streamer.core.frames import FloatArray

MOVES = 0.1  # of the largest displacement by any expression: points that move less are outside the face
LARGEST = 98  # percentile, so that the tongue alone does not set it
INNER = 0.85  # of the way from the middle of the face to its outline: a margin for an inexact outline
SMOOTHED_OVER = 2.5  # standard deviation in cells; wavy hairlines have wavelengths of three to four cells
BORDER = 1.5  # standard deviation in cells of the transition between face and surroundings
PRECISION = 4  # fractional bits of a cell for drawing the outline


class HeadOutline:
    """Mask of the face in the flow of one avatar's frames."""

    def __init__(self, keypoints: FloatArray, basis: FloatArray, cells: int) -> None:
        """keypoints: float32 [K, 2 or more] of the portrait, in -1..1; cells: of the flow, per side.

        basis: [units, K, 2 or more], displacement of the keypoints by each expression unit.
        """
        moved = np.hypot(*np.abs(basis).max(axis=0)[:, :2].T)
        places = keypoints[moved > MOVES * np.percentile(moved, LARGEST), :2]
        middle = (places.min(0) + places.max(0)) / 2
        inner = (middle + (places - middle) * INNER + 1) * cells / 2 - 0.5
        outline = cv2.convexHull(inner.astype(np.float32)) * 2**PRECISION
        face = np.zeros((cells, cells), np.float32)
        cv2.fillConvexPoly(face, np.rint(outline).astype(np.int32), 1, shift=PRECISION)
        self._face = cv2.GaussianBlur(face, (0, 0), BORDER)

    def calmed(self, flow: FloatArray) -> FloatArray:
        """Return the flow [2, g, g], smoothed outside the face."""
        edge = cv2.BORDER_REPLICATE
        about = np.stack([cv2.GaussianBlur(axis, (0, 0), SMOOTHED_OVER, borderType=edge) for axis in flow])
        return np.asarray(about + (flow - about) * self._face, np.float32)
