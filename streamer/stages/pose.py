"""Sources of the head pose: the manifest's process, unless the pose is still or given by a script."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from engines.runtime import Engines
from streamer.audio.loudness import SILENCE_DB
from streamer.avatar.bundle import Avatar
from streamer.avatar.manner import USUAL, Manner
from streamer.core.errors import ManifestError
from streamer.core.frames import FloatArray, Heard, Script
from streamer.core.options import PipelineOptions
from streamer.stages.causal_pose import CausalPose
from streamer.stages.life.idle_pose import POSE_NAMES, HeadPose
from streamer.stages.lookahead import Lookahead
from streamer.stages.vae_pose import LivePose, OfflinePose, PoseVae

IDLE, VAE, CAUSAL = "idle-and-speech", "pose-vae", "causal-pose-vae"  # processes of the pose stage


class PoseSource(Protocol):
    """Source of each frame's pose, float32 [P], in order."""

    def push(self, heard: Heard) -> list[FloatArray]:
        """Return the poses now known."""

    def flush(self) -> list[FloatArray]:
        """Return the poses held back, if any, at the end of the audio."""

    def reset(self) -> None:
        """Return to the first frame."""


def open_pose(
    engines: Engines, avatar: Avatar, lookahead: Lookahead, options: PipelineOptions, script: Script
) -> PoseSource:
    """Return the pose source that the options select.

    Raises:
        ManifestError: this version lacks the family's pose process, or it does not give the family's coefficients.
    """
    manifest, face = engines.manifest, options.face
    process, names = manifest.stage("pose").process, manifest.coefficients.pose
    if process not in (IDLE, VAE, CAUSAL):
        have = ", ".join((IDLE, VAE, CAUSAL))
        raise ManifestError(f"family {manifest.family}: pose process {process}, this version has {have}")
    if process in (IDLE, CAUSAL) and names != POSE_NAMES:
        raise ManifestError(f"family {manifest.family}: pose is {', '.join(names)}, expected {', '.join(POSE_NAMES)}")
    rest = avatar.rest_pose(len(names))
    if face.still or script.pose is not None:
        track = rest[None] if face.still or script.pose is None else script.pose
        return GivenPose(track, lookahead.loudness_lag)
    if process == IDLE:
        return IdlePose(options.seed, lookahead.loudness_lag, face.energy, avatar.manner)
    if process == CAUSAL:
        lag = lookahead.expression_lag
        return CausalPose(engines["pose"], face.pose_style, options.seed, lag, face.energy, avatar.manner)
    model = PoseVae(engines["pose"], avatar, face.pose_style, options.seed, script.noise)
    if model.size != len(names):
        raise ManifestError(f"family {manifest.family}: stage pose gives {model.size} values, not {', '.join(names)}")
    if face.pose_mode == "offline":
        return OfflinePose(model, rest)
    return LivePose(model, rest, lookahead.expression_lag, avatar.manner)


class IdlePose:
    """Poses of the random process `life.idle_pose.HeadPose`, driven by the sound level, which lags by `lag` frames."""

    def __init__(self, seed: int, lag: int, energy: float = 1.0, manner: Manner = USUAL) -> None:
        self._head, self._lag = HeadPose(seed, energy, manner), lag
        self._missing = lag

    def set_energy(self, energy: float) -> None:
        """Set the head's liveliness from the next frame on."""
        self._head.energy = energy

    def push(self, heard: Heard) -> list[FloatArray]:
        """Return the poses now known."""
        levels = [SILENCE_DB] * self._missing + list(heard.levels)
        self._missing = 0
        return [self._head.step(level) for level in levels]

    def flush(self) -> list[FloatArray]:
        """Return an empty list: no pose is held back."""
        return []

    def reset(self) -> None:
        """Return to the first frame."""
        self._head.reset()
        self._missing = self._lag


class GivenPose:
    """Given track of poses, float32 [n, P], played in a loop; a single pose holds the head still."""

    def __init__(self, track: FloatArray, lag: int) -> None:
        self._track, self._lag = np.asarray(track, np.float32), lag
        self._next, self._missing = 0, lag

    def push(self, heard: Heard) -> list[FloatArray]:
        """Return the poses now known."""
        count = self._missing + len(heard.levels)
        poses = [self._track[(self._next + i) % len(self._track)] for i in range(count)]
        self._next, self._missing = self._next + count, 0
        return poses

    def flush(self) -> list[FloatArray]:
        """Return an empty list: no pose is held back."""
        return []

    def reset(self) -> None:
        """Return to the first frame."""
        self._next, self._missing = 0, self._lag
