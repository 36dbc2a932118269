"""Choice and cropping of the square of a photo that becomes an avatar's picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from streamer.core.frames import ByteArray, FloatArray

SMOOTHING = 0.04  # of the square's side: distance over which the extended border is blurred outside the photo


@dataclass(frozen=True)
class Square:
    """Square of the photo: centre and half the side, in pixels (pixel k of a row covers k to k + 1)."""

    x: float
    y: float
    half: float

    def to_picture(self, points: FloatArray) -> FloatArray:
        """Map photo pixels [n, 2+] to the square's coordinates [n, 2], -1..1."""
        return np.asarray((points[:, :2] - (self.x, self.y)) / self.half, np.float32)

    def overhang(self, photo: tuple[int, int]) -> float:
        """Return the largest overhang beyond the photo (width, height), as a share of the square's side."""
        beyond = [
            max(self.half - at, at + self.half - length) for at, length in zip((self.x, self.y), photo, strict=True)
        ]
        return max(0.0, *beyond) / (2 * self.half)


def head_square(eyes: FloatArray, scale: float, extents: FloatArray, photo: tuple[int, int]) -> Square:
    """Return a square with room around the head, tightened to fit inside the photo (width, height).

    extents: [2], half sides in decimetres, the tightest and the usual. eyes: [2], their midpoint; scale: pixels per
    decimetre.
    """
    tight, usual = float(extents[0]), float(extents[1])
    for extent in np.linspace(usual, tight, 7):
        half = float(extent) * scale
        # A tighter square has less room below the chin, as in the generator's training data.
        square = Square(float(eyes[0]), float(eyes[1]) + (0.22 + 0.34 * (float(extent) - 1.1)) * scale, half)
        if square.overhang(photo) == 0:
            return square
    return _pushed_inside(square, 0.12 * scale, photo)


def _pushed_inside(square: Square, most: float, photo: tuple[int, int]) -> Square:
    """Move the square towards the inside of the photo, by up to `most` pixels in each direction."""
    moved = []
    for middle, length in ((square.x, photo[0]), (square.y, photo[1])):
        low, high = sorted((square.half, length - square.half))
        moved.append(middle + float(np.clip(np.clip(middle, low, high) - middle, -most, most)))
    return Square(moved[0], moved[1], square.half)


def cut_square(photo: ByteArray, square: Square, size: int) -> ByteArray:
    """Crop the square, scaled to `size` pixels. Beyond the photo's edge, the border is extended and blurred."""
    low_x, low_y = int(np.floor(square.x - square.half)), int(np.floor(square.y - square.half))
    side = int(np.ceil(2 * square.half)) + 2
    height, width = photo.shape[:2]
    outside = [max(0, -low_y), max(0, low_y + side - height), max(0, -low_x), max(0, low_x + side - width)]
    top, left = max(0, low_y), max(0, low_x)
    part = photo[top : min(height, low_y + side), left : min(width, low_x + side)]
    if any(outside):
        part = _drawn_out(part, outside)
    scale = size / (2 * square.half)
    middle = (square.x - low_x, square.y - low_y)
    if scale < 0.5:  # direct sampling would skip pixels
        shrink = 2 * scale
        part = cv2.resize(part, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA).astype(np.uint8)
        middle = (middle[0] * shrink, middle[1] * shrink)
        scale = 0.5
    table = np.array([[scale, 0, size / 2 - scale * middle[0]], [0, scale, size / 2 - scale * middle[1]]])
    table[:, 2] += (scale - 1) / 2  # from pixel corners to pixel centres, as OpenCV counts
    flags = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_LINEAR
    if scale < 1:
        part = cv2.GaussianBlur(part, (0, 0), 0.35 / scale).astype(np.uint8)
    return np.asarray(cv2.warpAffine(part, table, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _drawn_out(part: ByteArray, outside: list[int]) -> ByteArray:
    """Extend the border by (above, below, left, right) pixels, blurred there."""
    above, below, left, right = outside
    grown = cv2.copyMakeBorder(part, above, below, left, right, cv2.BORDER_REPLICATE)
    soft = cv2.GaussianBlur(grown, (0, 0), max(1.0, SMOOTHING * max(grown.shape[:2])))
    inner = np.zeros(grown.shape[:2], np.uint8)
    inner[above : above + part.shape[0], left : left + part.shape[1]] = 1
    away = cv2.distanceTransform(1 - inner, cv2.DIST_L2, 3)
    share = np.clip(away / (SMOOTHING * max(grown.shape[:2])), 0, 1)[..., None]
    return np.asarray(grown * (1 - share) + soft * share + 0.5, np.uint8)
