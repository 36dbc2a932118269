"""Head pose from a variational network that computes blocks of frames (SadTalker's PoseVAE, arXiv 2211.12194).

`OfflinePose` works as the reference does: each block is computed from the audio it belongs to, and the whole track is
smoothed. It lags the audio by up to 1.6 s. `LivePose` never waits: each block is computed one block ahead, from the
audio before it, and cross-faded with the previous one. A follower with bounded acceleration smooths the result, so that
the head cannot jump.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from engines.runtime import Engine
from streamer.avatar.bundle import Avatar
from streamer.avatar.manner import USUAL, Manner
from streamer.core.errors import ConfigError, ManifestError
from streamer.core.frames import FloatArray, Heard
from streamer.stages.mel import LIMIT
from streamer.stages.smoothing import Follower, SavitzkyGolay

FADE = 8  # frames of cross-fade between live blocks
# Limit of a live residual: 20 degrees in radians, and the same number in the face model's unit of length, in which a
# head is about 2 wide. The limit is soft: values far below it pass unchanged.
MOST_RESIDUAL = np.float32(0.35)
FOLLOW = 12.0  # rad/s: half power at 1.2 Hz (2.6 Hz in the reference's smoothing); lags by 0.17 s
MOST_BEND = 0.012  # limit for a live pose, per frame squared: 0.7 degrees, twice that of a quick nod


class PoseVae:
    """PoseVAE network for one avatar and style. Each block draws noise from the seed: equal seeds give equal poses."""

    def __init__(self, engine: Engine, avatar: Avatar, style: int | None, seed: int, noise: FloatArray | None) -> None:
        """`noise`: float32 [blocks, Z], used block by block instead of noise from the seed.

        Raises:
            ConfigError: the network has no such style.
            ManifestError: the network's input and output differ in frames, or have too few for the cross-fade.
        """
        spec = engine.spec
        self.frames = int(spec.inputs["mel"].shape[0])
        self.size = int(spec.outputs["residual"].shape[1])
        if spec.outputs["residual"].shape[0] != self.frames or self.frames <= FADE:
            raise ManifestError(f"stage pose: residual {spec.outputs['residual']} from mel {spec.inputs['mel']}")
        self.window_shape = tuple(int(size) for size in spec.inputs["mel"].shape[1:])
        self._noise_shape = (1, int(spec.inputs["noise"].shape[1]))
        self._seed, self._noise = seed, noise
        constants = avatar.constants_of(spec)
        if "style" in spec.inputs:
            constants["style"] = one_hot(int(spec.inputs["style"].shape[1]), style or 0)
        self._binding = engine.bind(constants, ["residual"])
        self.reset()

    def infer(self, windows: FloatArray) -> FloatArray:
        """Return the next block's residuals: mel windows [frames, 1, MEL_BANDS, WINDOW_MEL_FRAMES] -> [frames, P]."""
        residual: FloatArray = self._binding.infer({"mel": windows, "noise": self._draw()})["residual"]
        return residual

    def reset(self) -> None:
        """Return to the first block."""
        self._random = np.random.default_rng([self._seed, 2])
        self._blocks = 0

    def _draw(self) -> FloatArray:
        self._blocks += 1
        if self._noise is not None:
            return np.asarray(self._noise[(self._blocks - 1) % len(self._noise)], np.float32).reshape(self._noise_shape)
        return self._random.standard_normal(self._noise_shape, np.float32)


class PoseBlocks:
    """Residuals block by block, float32 [P] per frame, as in the reference; independent of the audio's chunking.

    Frame 0 has a zero residual and its window is not used. Whole blocks follow. A shorter tail is the end of a block of
    the last available windows; in a clip shorter than a block, the first window is repeated at the front.
    """

    def __init__(self, model: PoseVae) -> None:
        self._model = model
        self._begin()

    def reset(self) -> None:
        """Return to the first frame."""
        self._model.reset()
        self._begin()

    def _begin(self) -> None:
        self._first = True
        self._last: list[FloatArray] = []  # windows of the last whole block
        self._waiting: list[FloatArray] = []  # of the current block

    def push(self, windows: FloatArray) -> list[FloatArray]:
        """Take mel windows [n, 1, MEL_BANDS, WINDOW_MEL_FRAMES]; return the residuals now known, in order."""
        residuals: list[FloatArray] = []
        for window in windows:
            if self._first:
                self._first = False
                residuals.append(np.zeros(self._model.size, np.float32))
                continue
            self._waiting.append(window)
            if len(self._waiting) == self._model.frames:
                residuals += list(self._model.infer(np.stack(self._waiting)))
                self._last, self._waiting = self._waiting, []
        return residuals

    def flush(self) -> list[FloatArray]:
        """Return all remaining residuals at the end of the audio."""
        tail = len(self._waiting)
        if not tail:
            return []
        windows = (self._last + self._waiting)[-self._model.frames :]
        windows = [windows[0]] * (self._model.frames - len(windows)) + windows
        return list(self._model.infer(np.stack(windows))[-tail:])


class OfflinePose:
    """Poses as in the reference: blocks relative to the portrait's pose, smoothed."""

    def __init__(self, model: PoseVae, rest: FloatArray) -> None:
        self._blocks, self._smooth = PoseBlocks(model), SavitzkyGolay()
        self._rest = rest

    def reset(self) -> None:
        """Return to the first frame."""
        self._blocks.reset()
        self._smooth.reset()

    def push(self, heard: Heard) -> list[FloatArray]:
        """Return the poses now known, in order."""
        return self._smoothed(self._blocks.push(heard.windows))

    def flush(self) -> list[FloatArray]:
        """Return all remaining poses at the end of the audio."""
        return self._smoothed(self._blocks.flush()) + self._smooth.flush()

    def _smoothed(self, residuals: list[FloatArray]) -> list[FloatArray]:
        return [pose for residual in residuals for pose in self._smooth.push(self._rest + residual)]


class LivePose:
    """Poses without look-ahead: frame i is known as soon as its window is, and depends only on earlier windows.

    `lag`: frames at the start without a window; the head is at rest in them.
    """

    def __init__(self, model: PoseVae, rest: FloatArray, lag: int, manner: Manner = USUAL) -> None:
        self._reach = manner.reach(model.size)
        self._model, self._rest, self._lag = model, rest, lag
        self._begin()

    def reset(self) -> None:
        """Return to the first frame."""
        self._model.reset()
        self._begin()

    def _begin(self) -> None:
        silence = np.full(self._model.window_shape, -LIMIT, np.float32)
        self._past = deque([silence] * self._model.frames, self._model.frames)
        self._ahead = np.zeros((FADE, self._model.size), np.float32)  # residuals of the coming frames, in order
        self._follower = Follower(self._model.size, FOLLOW, MOST_BEND)
        self._missing = self._lag

    def push(self, heard: Heard) -> list[FloatArray]:
        """Return the poses now known, in order."""
        poses = [self._rest] * self._missing
        self._missing = 0
        for window in heard.windows:
            poses.append(self._step())
            self._past.append(window)
        return poses

    def flush(self) -> list[FloatArray]:
        """Return an empty list: no pose is held back."""
        return []

    def _step(self) -> FloatArray:
        if len(self._ahead) == FADE:
            self._make_ahead()
        target, self._ahead = self._ahead[0], self._ahead[1:]
        return self._rest + self._follower.step(MOST_RESIDUAL * np.tanh(self._reach * target / MOST_RESIDUAL))

    def _make_ahead(self) -> None:
        """Cross-fade the rest of the last block into a new one."""
        block = self._model.infer(np.stack(self._past))
        share = (0.5 - 0.5 * np.cos(np.pi * np.arange(1, FADE + 1) / (FADE + 1))).astype(np.float32)[:, None]
        block[:FADE] = self._ahead + share * (block[:FADE] - self._ahead)
        self._ahead = block


def one_hot(width: int, index: int) -> FloatArray:
    """Return a row [1, width] with a 1 at the style's place. Raises ConfigError for an unknown style."""
    if not 0 <= index < width:
        raise ConfigError(f"pose style {index}; there are 0 to {width - 1}")
    row = np.zeros((1, width), np.float32)
    row[0, index] = 1.0
    return row
