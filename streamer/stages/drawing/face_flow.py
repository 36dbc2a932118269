"""The flow along which a photo is warped for each frame of a sequence.

The keypoints give a first guess of it (`prior`), which a network refines. That costs several times as much, and what it
adds hardly changes while the face does not: then it is kept, and the guess alone is made anew.
"""

from __future__ import annotations

import numpy as np

from engines.runtime import Engine
from streamer.avatar.bundle import Avatar
from streamer.core.frames import FloatArray

FLOW = ("flow", "context", "refined")  # what the paint stage takes
PRIOR = "prior"
HARDLY = 0.5  # pixels of the network: what was added is then off by 0.01 on average, and by 0.25 in one place of 1,000


class FaceFlow:
    """The render stage of one avatar, for one sequence of frames."""

    def __init__(self, engine: Engine, avatar: Avatar, size: int) -> None:
        """size: pixels a side of the network's picture."""
        constants = avatar.constants_of(engine.spec)
        self._whole = engine.bind(constants, (*FLOW, PRIOR))
        self._guess = engine.bind(constants, (PRIOR,))
        self._hardly = HARDLY * 2 / size
        self.restart()

    def restart(self) -> None:
        """Begin another sequence."""
        self._added: FloatArray | None = None
        self._refined_at: FloatArray | None = None

    def refined(self, inputs: dict[str, FloatArray], points: FloatArray) -> dict[str, FloatArray]:
        """The flow [1, 2, g, g], and what the paint stage takes beside it. points: the frame's keypoints, [K, 3]."""
        made = self._whole.infer(inputs)
        self._added, self._refined_at = made["flow"] - made[PRIOR], points
        return {name: made[name] for name in FLOW}

    def kept(self, inputs: dict[str, FloatArray], points: FloatArray, come_what_may: bool) -> FloatArray:
        """The flow alone, with what was added before where the face has hardly moved since, or `come_what_may`."""
        if self._added is None or self._refined_at is None:
            return self.refined(inputs, points)["flow"]
        if not come_what_may and float(np.abs(points - self._refined_at)[:, :2].max()) > self._hardly:
            return self.refined(inputs, points)["flow"]
        return np.asarray(self._guess.infer(inputs)[PRIOR] + self._added, np.float32)
