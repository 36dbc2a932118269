"""Held view: a head fixed at given angles in place of its computed pose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engines.manifest import Manifest
from streamer.core.errors import ConfigError
from streamer.core.frames import CoefficientWindow, FloatArray
from streamer.core.options import MAX_ANGLE, FaceOptions

AXES = ("yaw", "pitch", "roll")
# Degrees. A motion stage with a view input accepts every angle at which a face can be recognised. Without one, the view
# is set in the pose coefficients, and the limits are where artefacts begin (seen in frames of the starter family: at 12
# degrees of yaw the edge of the hair begins to fray, at 20 the side of the head is a smear).
LIMITS = dict.fromkeys(AXES, MAX_ANGLE)
POSE_LIMITS = {"yaw": 10.0, "pitch": 8.0, "roll": 8.0}


class HeldView:
    """Setter of a session's view in its windows: beside the coefficients, or in place of the pose coefficients."""

    def __init__(self, view: FloatArray, rows: Sequence[int]) -> None:
        """`view`: float32 [3], degrees about AXES, NaN where free; `rows`: rows to overwrite, empty to pass it
        beside."""
        self._view = None if np.isnan(view).all() else view
        self._rows = rows

    @classmethod
    def of(cls, manifest: Manifest, face: FaceOptions) -> HeldView:
        """Return the view that a session requests.

        Raises:
            ConfigError: an angle is out of range, or the family cannot turn about that axis.
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
        """Return the windows with the view set."""
        if self._view is None:
            return windows
        return [self._held(window) for window in windows]

    def _held(self, window: CoefficientWindow) -> CoefficientWindow:
        if not self._rows:
            return replace(window, view=self._view)
        values = window.values.copy()
        assert self._view is not None  # `hold` has checked it
        for row, angle in zip(self._rows, self._view, strict=True):
            if not np.isnan(angle):
                values[row] = angle
        return replace(window, values=values)


def asked(face: FaceOptions) -> dict[str, float]:
    """Return the axes to hold and their angles in degrees."""
    angles = {"yaw": face.yaw, "pitch": face.pitch, "roll": face.roll}
    return {axis: angle for axis, angle in angles.items() if angle is not None}
