"""Aligned crops of the official SadTalker family, and the 224-pixel face that its coefficients are predicted from.

Geometry only. The reference implementation uses 68 landmarks; the ones it needs are derived from the mesh's 478
(FIVE_POINTS), so crops are equal up to the differences between the landmark models. See
github.com/OpenTalker/SadTalker (`croper.py`, `preprocess.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from streamer.core.frames import ByteArray, FloatArray

Doubles = NDArray[np.float64]

FACE_SIZE, FACE_SCALE = 224, 102.0

# The mesh points of the 68-point scheme's eyes (37-42 and 43-48, counted from 1), mouth corners (49, 55) and nose tip
# (31). The mesh has no point at the scheme's nose tip: it lies midway between 1, the tip's underside, and 4, its front.
RIGHT_EYE = (33, 160, 158, 133, 153, 144)
LEFT_EYE = (362, 385, 387, 263, 373, 380)
MOUTH_CORNERS = (61, 291)
FIVE_POINTS = ((33, 133), (362, 263), (1, 4), (61,), (291,))  # each the mean of these mesh points

# The five points on a standard head, x right, y up, z to the viewer.
STANDARD_FACE = np.array(
    [
        [-0.31148657, 0.29036078, 0.13377953],
        [0.30979887, 0.28972036, 0.13179526],
        [0.0032535, -0.04617932, 0.55244243],
        [-0.25216928, -0.38133916, 0.22405732],
        [0.2484662, -0.38128236, 0.22235769],
    ]
)


@dataclass(frozen=True)
class Box:
    """Axis-aligned part of the photo, in whole pixels."""

    left: int
    top: int
    right: int
    bottom: int

    def to_picture(self, points: FloatArray, size: int) -> FloatArray:
        """Map photo pixels [n, 2+] to pixels [n, 2] of the box scaled to `size` x `size`."""
        scale = (size / (self.right - self.left), size / (self.bottom - self.top))
        return np.asarray((points[:, :2] - (self.left, self.top)) * scale, np.float32)

    def cut(self, photo: ByteArray, size: int) -> ByteArray:
        """Crop the box, scaled to `size` x `size`; a box that is not square is distorted."""
        part = photo[self.top : self.bottom, self.left : self.right]
        smaller = part.shape[0] > size and part.shape[1] > size
        return np.asarray(
            cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC), np.uint8
        )


def crop_box(mode: str, landmarks: FloatArray, width: int, height: int) -> Box:
    """Return a mode's crop of a photo of `width` x `height` pixels with a face of `landmarks` [478, 2+]."""
    if mode == "resize":
        return Box(0, 0, width, height)
    quad, side = aligned_quad(landmarks)
    low, high = quad.min(0), quad.max(0)
    if mode in ("extcrop", "extfull"):
        border = max(int(np.rint(side * 0.1)), 3)
        low, high = np.floor(low) - border, np.ceil(high) + border
    else:
        low, high = low + 0.5, high + 0.5
    return Box(
        int(max(low[0], 0)),
        int(max(low[1], 0)),
        int(min(high[0], width)),
        int(min(high[1], height)),
    )


def aligned_quad(landmarks: FloatArray) -> tuple[Doubles, float]:
    """Return corners [4, 2] of the square aligned with eyes and mouth, and its side (Karras et al. 2018, section C)."""
    points = np.asarray(landmarks[:, :2], np.float64)
    right_eye, left_eye = points[list(RIGHT_EYE)].mean(0), points[list(LEFT_EYE)].mean(0)
    eyes, eye_to_eye = (right_eye + left_eye) / 2, left_eye - right_eye
    eye_to_mouth = points[list(MOUTH_CORNERS)].mean(0) - eyes
    x = eye_to_eye - eye_to_mouth[::-1] * (-1, 1)
    x *= max(np.hypot(*eye_to_eye) * 2.0, np.hypot(*eye_to_mouth) * 1.8) / np.hypot(*x)
    y = x[::-1] * (-1, 1)
    middle = eyes + eye_to_mouth * 0.1
    corners = np.stack([middle - x - y, middle - x + y, middle + x + y, middle + x - y])
    return np.asarray(corners), float(np.hypot(*x) * 2)


def five_points(points: FloatArray) -> Doubles:
    """Return both eyes (the person's right first), nose tip and mouth corners, [5, 2], from landmarks [478, 2+]."""
    return np.asarray([points[list(chosen), :2].mean(0) for chosen in FIVE_POINTS], np.float64)


def solve_pose(points: Doubles) -> tuple[Doubles, float]:
    """Fit STANDARD_FACE to points [5, 2] (y up) by scaled-orthographic least squares.

    Returns the offset [2], and the scale by which to resize the picture.
    """
    left = np.zeros((10, 8))
    left[0::2, :3] = left[1::2, 4:7] = STANDARD_FACE
    left[0::2, 3] = left[1::2, 7] = 1
    solved = np.linalg.lstsq(left, points.ravel(), rcond=None)[0]
    length = (np.linalg.norm(solved[:3]) + np.linalg.norm(solved[4:7])) / 2
    return np.array([solved[3], solved[7]]), float(FACE_SCALE / length)


def face_input(portrait: ByteArray, points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the coefficient network's input face [1, 3, 224, 224] in 0..1, and its crop parameters [3].

    The crop parameters are the scale and the offset (x, and y upwards); whole-scene modes need them.

    Args:
        portrait: [S, S, 3] RGB.
        points: the face's landmarks [478, 2+] in its pixels.
    """
    height, width = portrait.shape[:2]
    up = five_points(points)
    up[:, 1] = height - 1 - up[:, 1]
    offset, scale = solve_pose(up)
    across, down = int(width * scale), int(height * scale)
    left = int(across / 2 - FACE_SIZE / 2 + (offset[0] - width / 2) * scale)
    top = int(down / 2 - FACE_SIZE / 2 + (height / 2 - offset[1]) * scale)
    face = np.zeros((FACE_SIZE, FACE_SIZE, 3), np.float32)  # black beyond the picture, as in the reference
    first, last = (max(left, 0), max(top, 0)), (min(left + FACE_SIZE, across), min(top + FACE_SIZE, down))
    if first[0] < last[0] and first[1] < last[1]:
        # Pillow, as in the reference, because OpenCV's bicubic filter differs. Only the visible part is resized.
        size = (last[0] - first[0], last[1] - first[1])
        part = (first[0] * width / across, first[1] * height / down, last[0] * width / across, last[1] * height / down)
        resized = Image.fromarray(portrait).resize(size, Image.Resampling.BICUBIC, box=part)
        face[first[1] - top : last[1] - top, first[0] - left : last[0] - left] = np.asarray(resized)
    planes = np.ascontiguousarray(face.transpose(2, 0, 1)[None]) / np.float32(255.0)
    return planes, np.array([scale, *offset], np.float32)
