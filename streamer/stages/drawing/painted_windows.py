"""Painted windows of a face: each is repainted when its content changes, and otherwise only follows the head.

Painting a window is the most expensive part of a picture. The eye window stays the same for seconds except for the
head's motion, which turns, scales and shifts it: the similarity transform that best fits its keypoints (least squares
over complex numbers; compare Umeyama, Least-Squares Estimation of Transformation Parameters, 1991). The residual motion
of the keypoints decides whether the window must be repainted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engines.manifest import StageSpec
from engines.runtime import Engine
from streamer.avatar.bundle import Avatar
from streamer.avatar.condition_maps import Topology
from streamer.core.errors import BundleError
from streamer.core.frames import FloatArray, Paint
from streamer.stages.drawing.photo_canvas import STAYED, Layer, Moved
from streamer.stages.drawing.teeth_colour import has_human_colours, warmed

MOUTH = 1  # index among the windows
STILL = 0.12  # network pixels; a quarter of a pixel at 512

Indices = NDArray[np.int64]


class WindowPainter:
    """Painter of one avatar's windows.

    points: the keypoints of each window; corners: (top, left) of each in network pixels; scale: painted pixels per
    network pixel.
    """

    def __init__(self, engine: Engine, avatar: Avatar, topology: Topology) -> None:
        """Raises BundleError if the avatar's windows do not lie in the picture."""
        self.scale = engine.spec.layer_scale
        self.points = (topology.eye_points, topology.mouth_points)  # in the order of the windows
        self.corners = _corners(engine.spec, avatar, len(self.points))
        constants = avatar.constants_of(engine.spec)
        self._bindings = [
            engine.bind({**constants, "window": corner[None].astype(np.float32)}) for corner in self.corners
        ]
        self._height, self._width = _extent(engine.spec)
        self._human = has_human_colours(avatar)

    def paint(self, window: int, conditions: FloatArray, flow: dict[str, FloatArray]) -> FloatArray:
        """Paint a window: float32 [h, w, 4].

        conditions: driving conditions of the whole picture, [C, S, S]; flow: the render stage's outputs for the frame.
        """
        top, left = self.corners[window]
        part = conditions[None, :, top : top + self._height, left : left + self._width]
        inputs = {**flow, "conditions": np.ascontiguousarray(part)}
        made: FloatArray = self._bindings[window].infer(inputs)["layer"][0]
        return warmed(made) if window == MOUTH and self._human else made


class PaintedWindows:
    """State of the windows along a sequence of frames."""

    def __init__(self, points: Sequence[Indices], size: int) -> None:
        """points: the keypoints of each window; size: pixels per side of the network's picture."""
        self._points = points
        self._still = STILL * 2 / size
        self._painted: list[tuple[FloatArray, FloatArray] | None] = [None] * len(points)

    def due(self, keypoints: FloatArray, paint: Paint) -> list[int]:
        """Return the windows to repaint for a frame with these keypoints [K, 2 or 3]."""
        return [window for window in range(len(self._painted)) if self._is_due(window, keypoints, paint)]

    def take(self, window: int, pixels: FloatArray, keypoints: FloatArray) -> None:
        """Store a window as painted for a frame with these keypoints."""
        self._painted[window] = pixels, keypoints[self._points[window], :2]

    def layers(self, keypoints: FloatArray) -> list[Layer]:
        """Return all windows, each painted earlier, placed in a frame with these keypoints."""
        found = []
        for points, painted in zip(self._points, self._painted, strict=True):
            assert painted is not None
            pixels, before = painted
            found.append(Layer(pixels, similarity(before, keypoints[points, :2])[0]))
        return found

    def _is_due(self, window: int, keypoints: FloatArray, paint: Paint) -> bool:
        painted = self._painted[window]
        if painted is None or paint is Paint.ANEW:
            return True
        if paint is Paint.KEPT:
            return False
        return similarity(painted[1], keypoints[self._points[window], :2])[1] >= self._still


def similarity(before: FloatArray, now: FloatArray) -> tuple[Moved, float]:
    """Return the similarity that best maps points [n, 2] to others, and the largest remaining distance."""
    if np.array_equal(before, now):
        return STAYED, 0.0
    a, b = (points[:, 0] + 1j * points[:, 1].astype(np.float64) for points in (before, now))
    middle, spread = a.mean(), a - a.mean()
    size = float(np.vdot(spread, spread).real)
    turn = complex(np.vdot(spread, b - b.mean()) / size) if size > 0 else 1 + 0j
    shift = complex(b.mean() - turn * middle)
    return Moved(turn, shift), float(np.abs(turn * a + shift - b).max())


def _extent(spec: StageSpec) -> tuple[int, int]:
    """Return a window's height and width in network pixels."""
    height, width = spec.inputs["conditions"].shape[-2:]
    return int(height), int(width)


def _corners(spec: StageSpec, avatar: Avatar, count: int) -> list[Indices]:
    found, size = avatar.constants.get("windows"), avatar.constants["portrait"].shape[-1]
    if found is None or found.shape != (count, 2):
        shape = "none" if found is None else list(found.shape)
        raise BundleError(f"{avatar.info.folder}: windows is {shape}, expected [{count}, 2]")
    most = size - np.array(_extent(spec))
    if not ((found >= 0) & (found <= most)).all():
        raise BundleError(f"{avatar.info.folder}: windows at {found.tolist()}, expected 0 to {most.tolist()}")
    return list(found.astype(np.int64))
