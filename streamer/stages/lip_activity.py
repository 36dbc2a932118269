"""How busy a face's lips are with speech, from its face units: quick to rise, slow to fall.

People do not hold a smile while they form words. What a portrait's mouth does at rest gives way by as much, and comes
back in a pause that lasts (see `motion`). Causal; one value a frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streamer.core.frames import FloatArray
from streamer.core.rates import FPS

# Units that speech moves and idle life leaves alone; one side speaks for both.
SPOKEN = (
    "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthLowerDownLeft", "mouthUpperUpLeft",
    "mouthStretchLeft", "mouthPressLeft", "mouthRollLower",
)  # fmt: skip
BUSY = 0.6  # their sum in lips that wholly speak; in running speech it is 1.7 on average
ATTACK, RELEASE = 0.12, 0.6  # s


class LipActivity:
    """One face's. `step` once per video frame, in order."""

    def __init__(self, names: Sequence[str]) -> None:
        """names: of the family's expression coefficients. The lips of one without face units are never busy."""
        self._rows = [row for row, name in enumerate(names) if name in SPOKEN]
        self._rise, self._fall = (1 - float(np.exp(-1 / (FPS * seconds))) for seconds in (ATTACK, RELEASE))
        self.reset()

    def reset(self) -> None:
        """Back to the first frame, before which nobody spoke."""
        self._level = 0.0

    def step(self, expression: FloatArray) -> float:
        """Take the next frame's expression, float32 [E]; return its activity, 0 to 1."""
        now = min(1.0, float(np.abs(expression[self._rows]).sum()) / BUSY)
        self._level += (now - self._level) * (self._rise if now > self._level else self._fall)
        return self._level
