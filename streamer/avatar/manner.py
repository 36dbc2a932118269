"""A person's manner, as multiples of the usual one: how far the head goes on each axis, and how often the eyes blink.

It is read off a clip of the person (`photo.clip_manner`) and lies in the bundle as `manner`, [4]; bundles without it
move as everybody does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass

import numpy as np

from streamer.core.frames import FloatArray

FIELD = "manner"
REACH = (0.5, 1.8)  # times the usual: a head that goes further leaves what the networks can draw
BLINKS = (0.4, 2.2)


@dataclass(frozen=True)
class Manner:
    """pitch, yaw, roll: times the usual reach of the head, within REACH; blinks: times the usual number, in BLINKS."""

    pitch: float = 1.0
    yaw: float = 1.0
    roll: float = 1.0
    blinks: float = 1.0

    @classmethod
    def bounded(cls, pitch: float, yaw: float, roll: float, blinks: float) -> Manner:
        """With values out of bounds moved to them."""
        pitch, yaw, roll = (float(np.clip(value, *REACH)) for value in (pitch, yaw, roll))
        return cls(pitch, yaw, roll, float(np.clip(blinks, *BLINKS)))

    @classmethod
    def of(cls, constants: Mapping[str, FloatArray]) -> Manner:
        """An avatar's, of its bundle's arrays. Raises ValueError: there is something else in its place."""
        found = constants.get(FIELD)
        if found is None:
            return USUAL
        if found.shape != (len(astuple(USUAL)),):
            raise ValueError(f"{FIELD} is {list(found.shape)}, expected [{len(astuple(USUAL))}]")
        return cls.bounded(*(float(value) for value in found))

    def arrays(self) -> dict[str, FloatArray]:
        """As it lies in a bundle."""
        return {FIELD: np.array(astuple(self), np.float32)}

    def reach(self, size: int = 6) -> FloatArray:
        """Of a pose [size] whose first three are pitch, yaw and roll; translations as usual."""
        reach = np.ones(size, np.float32)
        reach[:3] = self.pitch, self.yaw, self.roll
        return reach


USUAL = Manner()
