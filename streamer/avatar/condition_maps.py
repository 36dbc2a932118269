"""Condition maps: lips, lids, irises, teeth and tongue drawn from keypoints, as spatial input of the generator.

A lip contour alone does not fix where the teeth are (jaw and lips move independently), so the teeth and the tongue are
drawn, too, clipped to the mouth's opening. The family's `topology.npz` defines which keypoints form which outline.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.core import npz
from streamer.core.errors import AvatarError

CHANNELS = ("outer lips", "mouth opening", "eyes", "irises", "upper teeth", "lower teeth", "tongue")
SUBPIXEL_BITS = 4  # OpenCV draws antialiased shapes at 1/16 pixel
IRIS_RADIUS = 0.19  # of the eye's width, corner to corner

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Topology:
    """Keypoints (indices into [K, 3]) of each outline."""

    outer_lips: IntArray  # [n]
    inner_lips: IntArray  # [n]
    eyes: IntArray  # [2, n]
    eye_corners: IntArray  # [2, 2]
    irises: IntArray  # [2] centres
    teeth: IntArray  # [2 jaws: upper, lower; teeth; points]
    tooth_shades: FloatArray  # [2 jaws; teeth] 0..1: brightness of each
    tongue: IntArray  # [n]; drawn as its convex hull

    @cached_property
    def eye_points(self) -> IntArray:
        """All keypoints of the eyes."""
        return np.unique(np.concatenate([self.eyes.ravel(), self.irises]))

    @cached_property
    def mouth_points(self) -> IntArray:
        """All keypoints of the mouth."""
        return np.unique(np.concatenate([self.outer_lips, self.inner_lips, self.teeth.ravel(), self.tongue]))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]], origin: str) -> Topology:
        """Build from named arrays. Raises AvatarError, which names `origin`, when one is missing."""
        names = list(cls.__dataclass_fields__)
        missing = sorted(set(names) - set(arrays))
        if missing:
            raise AvatarError(f"{origin}: no array {', '.join(missing)}; expected {', '.join(names)}")
        integers = {name: np.asarray(arrays[name], np.int64) for name in names if name != "tooth_shades"}
        return cls(**integers, tooth_shades=np.asarray(arrays["tooth_shades"], np.float32))

    @classmethod
    def load(cls, path: Path) -> Topology:
        """Read a `topology.npz`. Raises AvatarError when it cannot be read or lacks an array."""
        return cls.from_arrays(npz.load(path), str(path))


class ConditionRasterizer:
    """Draws keypoints as condition maps of `size` x `size` pixels."""

    def __init__(self, topology: Topology | Path, size: int = 256) -> None:
        self.topology = topology if isinstance(topology, Topology) else Topology.load(topology)
        self.size = size
        shades = self.topology.tooth_shades
        # Back teeth are darker and lie behind the others, so they are drawn first.
        self._tooth_order = [np.argsort(jaw, kind="stable") for jaw in shades]

    def draw(self, keypoints: FloatArray) -> FloatArray:
        """Draw keypoints [K, 3] (x right, y down, -1..1 over the picture) as CHANNELS [7, size, size] in 0..1."""
        return self.draw_bytes(keypoints).astype(np.float32) * np.float32(1 / 255)

    def draw_bytes(self, keypoints: FloatArray) -> NDArray[np.uint8]:
        """Draw the same maps as bytes 0..255."""
        shape = self.topology
        pixels = (keypoints[:, :2] + 1) * (self.size / 2) - 0.5
        fixed = np.round(np.clip(pixels, -2 * self.size, 3 * self.size) * (1 << SUBPIXEL_BITS)).astype(np.int32)
        maps = np.zeros((len(CHANNELS), self.size, self.size), np.uint8)
        _fill(maps[0], fixed[shape.outer_lips], 255)
        _fill(maps[1], fixed[shape.inner_lips], 255)
        for eye, corners, iris in zip(shape.eyes, shape.eye_corners, shape.irises, strict=True):
            _fill(maps[2], fixed[eye], 255)
            radius = IRIS_RADIUS * float(np.linalg.norm(pixels[corners[0]] - pixels[corners[1]]))
            middle = (int(fixed[iris, 0]), int(fixed[iris, 1]))
            cv2.circle(maps[3], middle, int(radius * (1 << SUBPIXEL_BITS)), 255, -1, cv2.LINE_AA, SUBPIXEL_BITS)
        np.minimum(maps[3], maps[2], out=maps[3])
        # Also draw the lids' edge: a shut eye has no opening, but a line of lashes where the lids meet.
        cv2.polylines(maps[2], [*fixed[shape.eyes]], True, 255, 1, cv2.LINE_AA, SUBPIXEL_BITS)
        for channel, teeth, shades, order in zip(
            maps[4:6], shape.teeth, shape.tooth_shades, self._tooth_order, strict=True
        ):
            for tooth in order:
                _fill(channel, fixed[teeth[tooth]], round(255 * float(shades[tooth])))
        _fill(maps[6], cv2.convexHull(fixed[shape.tongue])[:, 0], 255)
        np.minimum(maps[4:], maps[1], out=maps[4:])
        return maps


def _fill(image: NDArray[np.uint8], outline: NDArray[np.int32], value: int) -> None:
    cv2.fillPoly(image, [outline], value, cv2.LINE_AA, SUBPIXEL_BITS)
