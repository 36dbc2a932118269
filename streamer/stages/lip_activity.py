"""Lip activity during speech, from the face units, with fast attack and slow release.

People do not hold a smile while they form words. The portrait's resting mouth shape is reduced in proportion to this
activity and returns in a longer pause (see `motion`). Causal; one value per frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streamer.core.frames import FloatArray
from streamer.core.rates import FPS

# Units moved by speech but not by idle motion; one side stands for both.
SPOKEN = (
    "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthLowerDownLeft", "mouthUpperUpLeft",
    "mouthStretchLeft", "mouthPressLeft", "mouthRollLower",
)  # fmt: skip
BUSY = 0.6  # their sum that counts as full activity; in running speech it is 1.7 on average
ATTACK, RELEASE = 0.12, 0.6  # s


class LipActivity:
    """Lip activity of one face. Call `step` once per video frame, in order."""

    def __init__(self, names: Sequence[str]) -> None:
        """names: the family's expression coefficients. Without face units the activity is always 0."""
        self._rows = [row for row, name in enumerate(names) if name in SPOKEN]
        self._rise, self._fall = (1 - float(np.exp(-1 / (FPS * seconds))) for seconds in (ATTACK, RELEASE))
        self.reset()

    def reset(self) -> None:
        """Return to the first frame, with no speech before it."""
        self._level = 0.0

    def step(self, expression: FloatArray) -> float:
        """Take the next frame's expression, float32 [E]; return its activity, 0 to 1."""
        now = min(1.0, float(np.abs(expression[self._rows]).sum()) / BUSY)
        self._level += (now - self._level) * (self._rise if now > self._level else self._fall)
        return self._level
