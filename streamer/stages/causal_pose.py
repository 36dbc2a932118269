"""Head pose from a variational network that is causal in the audio: blocks as in SadTalker's PoseVAE, without delay.

Each block of frames draws noise from the seed and continues from the last frames shown. Within a block, a frame depends
only on its own window and earlier ones: the network gets silence in place of the later windows, and these do not change
any frame already shown.
"""

from __future__ import annotations

import numpy as np

from engines.runtime import Engine
from streamer.avatar.manner import USUAL, Manner
from streamer.core.errors import ManifestError
from streamer.core.frames import FloatArray, Heard
from streamer.core.options import MAX_ENERGY
from streamer.stages.life.idle_pose import ENERGY_STEP, LIMITS, Breath
from streamer.stages.mel import LIMIT
from streamer.stages.vae_pose import one_hot

_INPUTS = {"mel", "noise", "style", "past"}


class CausalPose:
    """Pose source that emits each frame as its window arrives.

    Equal seeds and styles give equal poses, however the audio is split into chunks.
    """

    def __init__(
        self, engine: Engine, style: int | None, seed: int, lag: int, energy: float = 1.0, manner: Manner = USUAL
    ) -> None:
        """lag: frames at the start without a window; the head is at rest in them.

        energy: liveliness of the head, 0 to `core.options.MAX_ENERGY`; 1 is the network's own output.
        manner: the person's reach on each axis.

        Raises:
            ConfigError: the network has no such style.
            ManifestError: the network has other inputs or outputs.
        """
        spec = engine.spec
        if spec.inputs.keys() != _INPUTS:
            raise ManifestError(f"stage pose takes {', '.join(sorted(spec.inputs))}, expected {', '.join(_INPUTS)}")
        self.size = int(spec.outputs["residual"].shape[1])
        self._block = int(spec.outputs["residual"].shape[0])
        self._heard_shape = tuple(int(size) for size in spec.inputs["mel"].shape)
        past = tuple(int(size) for size in spec.inputs["past"].shape)
        self._noise_shape = (1, int(spec.inputs["noise"].shape[1]))
        if self._heard_shape[0] < self._block or past[0] > self._block or past[1] != self.size:
            raise ManifestError(f"stage pose: residual {spec.outputs['residual']} from mel {spec.inputs['mel']}")
        self._binding = engine.bind({"style": one_hot(int(spec.inputs["style"].shape[1]), style or 0)}, ["residual"])
        self._seed, self._lag, self._shown = seed, lag, past[0]
        self.energy = energy  # target value; `_energy` eases towards it
        self._energy = energy
        self._reach = manner.reach(self.size)
        self.reset()

    def reset(self) -> None:
        """Return to the first frame."""
        self._random = np.random.default_rng([self._seed, 2])
        self._breath = Breath(self._random)
        self._heard = np.full(self._heard_shape, -LIMIT, np.float32)
        self._made = np.zeros((self._block, self.size), np.float32)  # the current block; at first, the rest pose
        self._noise = np.zeros(self._noise_shape, np.float32)
        self._at = self._block
        self._missing = self._lag

    def set_energy(self, energy: float) -> None:
        """Set the head's liveliness from the next frame on."""
        self.energy = energy

    def push(self, heard: Heard) -> list[FloatArray]:
        """Return the poses now known, float32 [P] each, in order."""
        poses = [np.zeros(self.size, np.float32)] * self._missing
        self._missing = 0
        at = 0
        while at < len(heard.windows):
            made = self._step(heard.windows[at : at + self._room])
            poses += [self._alive(pose) for pose in made]
            at += len(made)
        return poses

    def flush(self) -> list[FloatArray]:
        """Return an empty list: no pose is held back."""
        return []

    @property
    def _room(self) -> int:
        """Number of frames still free in the current block, or in the next one if it is full."""
        return self._block - self._at % self._block

    def _step(self, windows: FloatArray) -> FloatArray:
        """Return the network's poses for the next windows, [n, 1, MEL_BANDS, width], all within one block."""
        begins = self._at == self._block
        if begins:
            self._begin()
        first, last = self._at, self._at + len(windows)
        start = len(self._heard) - self._block
        self._heard[start + first : start + last] = windows
        if begins or not (windows == -LIMIT).all():  # the network already had silence in these places
            inputs = {"mel": self._heard, "noise": self._noise, "past": self._past}
            self._made = self._binding.infer(inputs)["residual"]
        self._at = last
        return np.asarray(self._made[first:last])

    def _begin(self) -> None:
        """Begin the next block: move the heard windows into the past and fill the new places with silence."""
        self._heard[: -self._block] = self._heard[self._block :]
        self._heard[-self._block :] = -LIMIT
        self._past = self._made[-self._shown :].copy()
        self._noise = self._random.standard_normal(self._noise_shape, np.float32)
        self._at = 0

    def _alive(self, pose: FloatArray) -> FloatArray:
        """Return the pose scaled by the energy, within the head's limits, with breathing added."""
        self._energy += float(np.clip(self.energy - self._energy, -ENERGY_STEP, ENERGY_STEP))
        reach = np.minimum(self._energy * self._reach, np.float32(MAX_ENERGY))
        lively = LIMITS * np.tanh(reach * pose / LIMITS)
        return np.asarray(lively + self._energy * self._breath.step(), np.float32)
