"""Move an avatar's matte with its head, by the part of the keypoints' motion that the head's outline shares.

The outline of a head is not a fixed set of points: when the head turns, other points form it. It moves like points some
way behind the face, so the 3-D affine motion of the head's keypoints is evaluated at that depth. The motion fades
towards the shoulders like the keypoints' rigidity, or, without rigidity, towards the picture's lower edge.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from streamer.core.frames import FloatArray

Picture = cv2.typing.MatLike

GRID = 32  # cells a side of the grid on which the motion, which is smooth, is computed
HEAD = 0.9  # rigidity from which a point belongs to the head
OUTLINE_DEPTH = 0.65  # of the neck's depth behind the eyes, measured on silhouettes of the bundled characters' rig
NEAR, FAR, LEAST = 0.08, 0.40, 1e-6  # widths for interpolating rigidity; FAR counts where no point is near
FADE = (0.35, 1.0)  # heights (down, -1..1) between which the motion fades without rigidity
SMALLER = 4  # factor of the low resolution for the pixel shift, which is smooth
MOST = 0.25  # of the picture's half side: limit of the shift


class MatteMotion:
    """Warps mattes of `size` pixels with the motion of the head's outline.

    constants: an avatar's constants: `source_keypoints` and, if the family has them, `rigidity` and `pivot`.
    """

    def __init__(self, constants: Mapping[str, FloatArray], size: int) -> None:
        points = constants["source_keypoints"].reshape(-1, 3)
        rigidity = constants.get("rigidity")
        chosen = np.ones(len(points), bool) if rigidity is None else rigidity.reshape(-1) > HEAD
        self._head = chosen if chosen.any() else np.ones(len(points), bool)
        head = points[self._head]
        depth = OUTLINE_DEPTH * float(constants["pivot"].reshape(-1)[2]) if "pivot" in constants else head[:, 2].mean()
        self._rest = head[:, :2].copy()
        self._solve = np.linalg.pinv(np.c_[head, np.ones(len(head))]).astype(np.float32)
        middles = (np.arange(GRID) + 0.5) / GRID * 2 - 1
        x, y = (axis.ravel() for axis in np.meshgrid(middles, middles))
        share = (
            _fade(np.asarray(y, np.float32))
            if rigidity is None
            else _rigidity_at(np.stack([x, y], 1), points[:, :2], rigidity.reshape(-1))
        )
        places = np.stack([x, y, np.full_like(x, depth), np.ones_like(x)], 1)
        self._places = np.asarray(places * share[:, None], np.float32)
        self._size, self._small = size, (size // SMALLER, size // SMALLER)
        self._rows, self._columns = np.mgrid[:size, :size].astype(np.float32)

    def follow(self, matte: FloatArray, keypoints: FloatArray) -> FloatArray:
        """Return the portrait's matte [S, S], moved to a frame with these driving keypoints [K, 3]."""
        moved = self._solve @ (keypoints[self._head, :2] - self._rest)
        field = (self._places @ moved).clip(-MOST, MOST) * np.float32(self._size / 2)
        if np.abs(field).max() < 1e-3:
            return matte
        coarse = np.asarray(field.reshape(GRID, GRID, 2), np.float32)
        shift = cv2.resize(coarse, self._small, interpolation=cv2.INTER_LINEAR)
        # The shift is known at source pixels but needed at target pixels: warp it by itself, at low resolution.
        moved = self._moved(shift, shift / SMALLER)
        return self._moved(matte, cv2.resize(moved, (self._size, self._size), interpolation=cv2.INTER_LINEAR))

    def _moved(self, values: Picture, shift: Picture) -> FloatArray:
        """Move values [S, S, ...] by [S, S, 2] pixels; the edge is replicated."""
        side = shift.shape[0]
        x, y = self._columns[:side, :side] - shift[..., 0], self._rows[:side, :side] - shift[..., 1]
        return np.asarray(cv2.remap(values, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _rigidity_at(places: FloatArray, points: FloatArray, rigidity: FloatArray) -> FloatArray:
    """Interpolate the rigidity at places [n, 2] from the points near them."""
    square = ((places[:, None] - points[None]) ** 2).sum(-1)
    weight = np.exp(-square / (2 * NEAR**2)) + LEAST * np.exp(-square / (2 * FAR**2))
    return np.asarray((weight @ rigidity) / (weight.sum(1) + 1e-12), np.float32)


def _fade(y: FloatArray) -> FloatArray:
    share = ((FADE[1] - y) / (FADE[1] - FADE[0])).clip(0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)
