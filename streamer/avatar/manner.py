"""A person's manner, as multiples of the usual: the range of the head on each axis, and the rate of blinks.

It is measured in a clip of the person (`photo.clip_manner`) and stored in the bundle as `manner`, [4]; bundles without
it move in the usual manner.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass

import numpy as np

from streamer.core.frames import FloatArray

FIELD = "manner"
REACH = (0.5, 1.8)  # times the usual: beyond, the networks cannot draw the head
BLINKS = (0.4, 2.2)


@dataclass(frozen=True)
class Manner:
    """pitch, yaw, roll: times the usual range of the head, within REACH; blinks: times the usual rate, in BLINKS."""

    pitch: float = 1.0
    yaw: float = 1.0
    roll: float = 1.0
    blinks: float = 1.0

    @classmethod
    def bounded(cls, pitch: float, yaw: float, roll: float, blinks: float) -> Manner:
        """Make a manner with all values clipped to their bounds."""
        pitch, yaw, roll = (float(np.clip(value, *REACH)) for value in (pitch, yaw, roll))
        return cls(pitch, yaw, roll, float(np.clip(blinks, *BLINKS)))

    @classmethod
    def of(cls, constants: Mapping[str, FloatArray]) -> Manner:
        """Read an avatar's manner from its bundle's arrays. Raises ValueError: the array has a wrong shape."""
        found = constants.get(FIELD)
        if found is None:
            return USUAL
        if found.shape != (len(astuple(USUAL)),):
            raise ValueError(f"{FIELD} is {list(found.shape)}, expected [{len(astuple(USUAL))}]")
        return cls.bounded(*(float(value) for value in found))

    def arrays(self) -> dict[str, FloatArray]:
        """Return the arrays to store in a bundle."""
        return {FIELD: np.array(astuple(self), np.float32)}

    def reach(self, size: int = 6) -> FloatArray:
        """Return the factors for a pose [size] whose first three values are pitch, yaw and roll; 1 for translations."""
        reach = np.ones(size, np.float32)
        reach[:3] = self.pitch, self.yaw, self.roll
        return reach


USUAL = Manner()
