"""Flow along which a photo is warped for each frame of a sequence.

The keypoints give a first estimate (`prior`), which a network refines. Refinement costs several times as much, and its
correction hardly changes while the face hardly moves: then the correction is reused and only the estimate is
recomputed.
"""

from __future__ import annotations

import numpy as np

from engines.runtime import Engine
from streamer.avatar.bundle import Avatar
from streamer.core.frames import FloatArray

FLOW = ("flow", "context", "refined")  # inputs of the paint stage
PRIOR = "prior"
HARDLY = 0.5  # network pixels: a reused correction is then off by 0.01 on average, and by 0.25 in one place of 1,000


class FaceFlow:
    """Render stage of one avatar, for one sequence of frames."""

    def __init__(self, engine: Engine, avatar: Avatar, size: int) -> None:
        """size: pixels per side of the network's picture."""
        constants = avatar.constants_of(engine.spec)
        self._whole = engine.bind(constants, (*FLOW, PRIOR))
        self._guess = engine.bind(constants, (PRIOR,))
        self._hardly = HARDLY * 2 / size
        self.restart()

    def restart(self) -> None:
        """Begin another sequence of frames."""
        self._added: FloatArray | None = None
        self._refined_at: FloatArray | None = None

    def refined(self, inputs: dict[str, FloatArray], points: FloatArray) -> dict[str, FloatArray]:
        """Return the refined flow [1, 2, g, g] and the paint stage's other inputs. points: keypoints, [K, 3]."""
        made = self._whole.infer(inputs)
        self._added, self._refined_at = made["flow"] - made[PRIOR], points
        return {name: made[name] for name in FLOW}

    def kept(self, inputs: dict[str, FloatArray], points: FloatArray, come_what_may: bool) -> FloatArray:
        """Return the flow only, with the last correction if the face has hardly moved since, or if `come_what_may`."""
        if self._added is None or self._refined_at is None:
            return self.refined(inputs, points)["flow"]
        if not come_what_may and float(np.abs(points - self._refined_at)[:, :2].max()) > self._hardly:
            return self.refined(inputs, points)["flow"]
        return np.asarray(self._guess.infer(inputs)[PRIOR] + self._added, np.float32)
