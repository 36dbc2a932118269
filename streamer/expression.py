"""Mel windows to expression coefficients, in batches of whatever is ready."""

from __future__ import annotations

import numpy as np

from engines.runtime import Engine
from streamer.frames import FloatArray

MAX_BATCH = 32  # windows at once: bounds the network's memory when a long clip is pushed in one go


class ExpressionStage:
    """The expression network. Windows are independent of each other, so the stage has no state."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._width = int(engine.spec.outputs["expression"].shape[1])

    def infer(self, windows: FloatArray) -> FloatArray:
        """float32 [n, 1, MEL_BANDS, WINDOW_MEL_FRAMES], any n -> float32 [n, E]."""
        batches = [windows[start : start + MAX_BATCH] for start in range(0, len(windows), MAX_BATCH)]
        results = [self._engine.infer({"mel": batch})["expression"] for batch in batches]
        return np.concatenate([np.zeros((0, self._width), np.float32), *results])
