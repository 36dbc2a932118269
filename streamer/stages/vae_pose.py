"""Head pose from a variational network that makes a block of frames at a time (SadTalker's PoseVAE, arXiv 2211.12194).

`OfflinePose` is the reference's own way: a block is made of the sound it belongs to, the whole track is smoothed. It is
up to 1.6 s behind the sound. `LivePose` never waits: a block is made a block ahead, of the sound before it, and blocks
are faded into each other; a follower with bounded acceleration smooths what comes of it, so that the head cannot jump.
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

FADE = 8  # frames in which one live block passes into the next
# Of a live residual: 20 degrees in radians, and as much of the face model's unit of length, in which a head is about 2
# wide. Soft: what is far below passes unchanged.
MOST_RESIDUAL = np.float32(0.35)
FOLLOW = 12.0  # rad/s: half power at 1.2 Hz, where the reference's smoothing has it at 2.6; 0.17 s behind
MOST_BEND = 0.012  # of a live pose, per frame squared: 0.7 degrees, twice what a quick nod needs


class PoseVae:
    """The network, for one avatar and style. Each block draws noise from the seed: equal seeds, equal poses."""

    def __init__(self, engine: Engine, avatar: Avatar, style: int | None, seed: int, noise: FloatArray | None) -> None:
        """`noise`: float32 [blocks, Z], used in turn in place of what the seed gives.

        Raises:
            ConfigError: the network has no such style.
            ManifestError: it does not give as many frames as it takes.
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
        """Residuals of the next block: mel windows [frames, 1, MEL_BANDS, WINDOW_MEL_FRAMES] -> [frames, P]."""
        residual: FloatArray = self._binding.infer({"mel": windows, "noise": self._draw()})["residual"]
        return residual

    def reset(self) -> None:
        """The next block is the first."""
        self._random = np.random.default_rng([self._seed, 2])
        self._blocks = 0

    def _draw(self) -> FloatArray:
        self._blocks += 1
        if self._noise is not None:
            return np.asarray(self._noise[(self._blocks - 1) % len(self._noise)], np.float32).reshape(self._noise_shape)
        return self._random.standard_normal(self._noise_shape, np.float32)


class PoseBlocks:
    """Residuals block by block, float32 [P] a frame, as the reference makes them, however the sound is cut.

    Frame 0 has none and its window is not used. Then come blocks; a shorter tail is the end of a block of the last
    windows there are, filled up at the front with the first of them in a clip shorter than a block.
    """

    def __init__(self, model: PoseVae) -> None:
        self._model = model
        self._begin()

    def reset(self) -> None:
        """Back to the first frame."""
        self._model.reset()
        self._begin()

    def _begin(self) -> None:
        self._first = True
        self._last: list[FloatArray] = []  # windows of the last whole block
        self._waiting: list[FloatArray] = []  # of the block under way

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
        """The sound has ended: all remaining residuals."""
        tail = len(self._waiting)
        if not tail:
            return []
        windows = (self._last + self._waiting)[-self._model.frames :]
        windows = [windows[0]] * (self._model.frames - len(windows)) + windows
        return list(self._model.infer(np.stack(windows))[-tail:])


class OfflinePose:
    """Poses as the reference makes them: blocks, relative to the portrait's pose, smoothed."""

    def __init__(self, model: PoseVae, rest: FloatArray) -> None:
        self._blocks, self._smooth = PoseBlocks(model), SavitzkyGolay()
        self._rest = rest

    def reset(self) -> None:
        """Back to the first frame."""
        self._blocks.reset()
        self._smooth.reset()

    def push(self, heard: Heard) -> list[FloatArray]:
        """The poses now known, in order."""
        return self._smoothed(self._blocks.push(heard.windows))

    def flush(self) -> list[FloatArray]:
        """The sound has ended: all remaining poses."""
        return self._smoothed(self._blocks.flush()) + self._smooth.flush()

    def _smoothed(self, residuals: list[FloatArray]) -> list[FloatArray]:
        return [pose for residual in residuals for pose in self._smooth.push(self._rest + residual)]


class LivePose:
    """Poses without look-ahead: frame i's is known as soon as its window is, and uses the windows before it only.

    `lag`: frames at the start for which there is no window; the head is at rest in them.
    """

    def __init__(self, model: PoseVae, rest: FloatArray, lag: int, manner: Manner = USUAL) -> None:
        self._reach = manner.reach(model.size)
        self._model, self._rest, self._lag = model, rest, lag
        self._begin()

    def reset(self) -> None:
        """Back to the first frame."""
        self._model.reset()
        self._begin()

    def _begin(self) -> None:
        silence = np.full(self._model.window_shape, -LIMIT, np.float32)
        self._past = deque([silence] * self._model.frames, self._model.frames)
        self._ahead = np.zeros((FADE, self._model.size), np.float32)  # residuals of the frames to come, the next first
        self._follower = Follower(self._model.size, FOLLOW, MOST_BEND)
        self._missing = self._lag

    def push(self, heard: Heard) -> list[FloatArray]:
        """The poses now known, in order."""
        poses = [self._rest] * self._missing
        self._missing = 0
        for window in heard.windows:
            poses.append(self._step())
            self._past.append(window)
        return poses

    def flush(self) -> list[FloatArray]:
        """Nothing is held back."""
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
    """A row [1, width] with a 1 at the style's place. Raises ConfigError: there is no such style."""
    if not 0 <= index < width:
        raise ConfigError(f"pose style {index}; there are 0 to {width - 1}")
    row = np.zeros((1, width), np.float32)
    row[0, index] = 1.0
    return row
