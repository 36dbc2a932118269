"""Head pose from a variational network that is causal in the sound: blocks as in SadTalker's PoseVAE, shown as spoken.

Each block of frames draws noise from the seed and continues the last frames shown. Within a block a frame depends on
the windows up to its own; those that are still to come are silence to the network and change no frame that is shown.
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
    """Poses, frame by frame as their windows come; equal seeds and styles give equal poses, however sound is cut."""

    def __init__(
        self, engine: Engine, style: int | None, seed: int, lag: int, energy: float = 1.0, manner: Manner = USUAL
    ) -> None:
        """lag: frames at the start for which there is no window; the head is at rest in them.

        energy: how lively the head is, 0 to `core.options.MAX_ENERGY`; 1 is as the network learnt it; manner: whose.

        Raises:
            ConfigError: the network has no such style.
            ManifestError: it takes or gives something else.
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
        self.energy = energy  # to which it eases, where it is changed
        self._energy = energy
        self._reach = manner.reach(self.size)
        self.reset()

    def reset(self) -> None:
        """Back to the first frame."""
        self._random = np.random.default_rng([self._seed, 2])
        self._breath = Breath(self._random)
        self._heard = np.full(self._heard_shape, -LIMIT, np.float32)
        self._made = np.zeros((self._block, self.size), np.float32)  # the block under way; before the first, rest
        self._noise = np.zeros(self._noise_shape, np.float32)
        self._at = self._block
        self._missing = self._lag

    def set_energy(self, energy: float) -> None:
        """How lively the head is from now on."""
        self.energy = energy

    def push(self, heard: Heard) -> list[FloatArray]:
        """The poses now known, float32 [P] each, in order."""
        poses = [np.zeros(self.size, np.float32)] * self._missing
        self._missing = 0
        at = 0
        while at < len(heard.windows):
            made = self._step(heard.windows[at : at + self._room])
            poses += [self._alive(pose) for pose in made]
            at += len(made)
        return poses

    def flush(self) -> list[FloatArray]:
        """Nothing is held back."""
        return []

    @property
    def _room(self) -> int:
        """How many frames the block under way still takes; where it is full, the next."""
        return self._block - self._at % self._block

    def _step(self, windows: FloatArray) -> FloatArray:
        """What the network makes of the next frames' windows, [n, 1, MEL_BANDS, width], within one block."""
        begins = self._at == self._block
        if begins:
            self._begin()
        first, last = self._at, self._at + len(windows)
        start = len(self._heard) - self._block
        self._heard[start + first : start + last] = windows
        if begins or not (windows == -LIMIT).all():  # silence is what the network was given for what is to come
            inputs = {"mel": self._heard, "noise": self._noise, "past": self._past}
            self._made = self._binding.infer(inputs)["residual"]
        self._at = last
        return np.asarray(self._made[first:last])

    def _begin(self) -> None:
        """The next block: what was heard is past, what will be is silence yet."""
        self._heard[: -self._block] = self._heard[self._block :]
        self._heard[-self._block :] = -LIMIT
        self._past = self._made[-self._shown :].copy()
        self._noise = self._random.standard_normal(self._noise_shape, np.float32)
        self._at = 0

    def _alive(self, pose: FloatArray) -> FloatArray:
        """As lively as was asked, within the head's limits, and breathing."""
        self._energy += float(np.clip(self.energy - self._energy, -ENERGY_STEP, ENERGY_STEP))
        reach = np.minimum(self._energy * self._reach, np.float32(MAX_ENERGY))
        lively = LIMITS * np.tanh(reach * pose / LIMITS)
        return np.asarray(lively + self._energy * self._breath.step(), np.float32)
