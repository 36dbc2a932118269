"""Free view: a head held at given angles, whatever its pose would be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engines.manifest import Manifest
from streamer.core.errors import ConfigError
from streamer.core.frames import CoefficientWindow, FloatArray
from streamer.core.options import MAX_ANGLE, FaceOptions

AXES = ("yaw", "pitch", "roll")
# Degrees. A motion stage with an input for the view takes any that a face can be recognised at. Without one, the view
# goes through the pose coefficients, and no further than the pictures hold together (seen in frames of the starter
# family: at 12 degrees of yaw the edge of the hair begins to fray, at 20 the side of the head is a smear).
LIMITS = dict.fromkeys(AXES, MAX_ANGLE)
POSE_LIMITS = {"yaw": 10.0, "pitch": 8.0, "roll": 8.0}


class HeldView:
    """Puts a session's view into its windows: beside the coefficients, or in place of those of the pose."""

    def __init__(self, view: FloatArray, rows: Sequence[int]) -> None:
        """`view`: float32 [3], degrees about AXES, NaN where free; `rows` of the window, or none to put it beside."""
        self._view = None if np.isnan(view).all() else view
        self._rows = rows

    @classmethod
    def of(cls, manifest: Manifest, face: FaceOptions) -> HeldView:
        """The view that a session asks for.

        Raises:
            ConfigError: angles out of range.
        """
        names, angles = manifest.coefficients.pose, asked(face)
        beside = "view" in manifest.stage("motion").inputs
        for axis, angle in angles.items():
            if not beside and axis not in names:
                raise ConfigError(f"{axis} of {angle:g} degrees; {manifest.family} cannot turn its head that way")
            most = (LIMITS if beside else POSE_LIMITS)[axis]
            if not -most <= angle <= most:
                raise ConfigError(f"{axis} of {angle:g} degrees; {manifest.family} takes {-most:g} to {most:g}")
        view = np.array([angles.get(axis, np.nan) for axis in AXES], np.float32)
        first = len(manifest.coefficients.expression)
        return cls(view, () if beside else [first + names.index(axis) if axis in names else 0 for axis in AXES])

    def hold(self, windows: list[CoefficientWindow]) -> list[CoefficientWindow]:
        """The windows with the view in them."""
        if self._view is None:
            return windows
        return [self._held(window) for window in windows]

    def _held(self, window: CoefficientWindow) -> CoefficientWindow:
        if not self._rows:
            return replace(window, view=self._view)
        values = window.values.copy()
        assert self._view is not None  # `hold` has looked
        for row, angle in zip(self._rows, self._view, strict=True):
            if not np.isnan(angle):
                values[row] = angle
        return replace(window, values=values)


def asked(face: FaceOptions) -> dict[str, float]:
    """The axes that are to be held, in degrees."""
    angles = {"yaw": face.yaw, "pitch": face.pitch, "roll": face.roll}
    return {axis: angle for axis, angle in angles.items() if angle is not None}
