"""Run the clip through the streaming pipeline: sound in chunks of many sizes, at full lookahead."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from engines.manifest import CoefficientLayout, GraphSpec, Manifest, StageSpec, TensorSpec
from engines.runtime import Engines
from export.parity.compare import Array
from export.parity.stages import Stages
from export.sadtalker.networks.audio import EXPRESSION
from export.sadtalker.networks.pose import BLOCK, STYLES
from streamer.avatar.bundle import Avatar
from streamer.avatar.catalogue import AvatarInfo
from streamer.core.frames import Script
from streamer.core.options import FaceOptions
from streamer.core.rates import FPS, MEL_BANDS, SAMPLE_RATE, SAMPLES_PER_FRAME, WINDOW_MEL_FRAMES
from streamer.pipeline import CoefficientStream, PipelineOptions
from streamer.stages.life.idle_pose import POSE_NAMES
from streamer.stages.mel_windows import MelWindows
from streamer.stages.motion import MotionStage
from streamer.stages.vae_pose import PoseBlocks, PoseVae

CONTEXT, CONTEXT_MS, EXPRESSION_MS = 13, 520, 145
POSE, POINTS = len(POSE_NAMES), 15
LARGEST_PIECE = 5_000  # samples

Shapes = Mapping[str, tuple[int | str, ...]]


def stream_clip(clip: Mapping[str, Array], stages: Stages, canonical: Array) -> dict[str, Array]:
    """Stream a clip (see `clip.run_clip`); return windows, exp, pose_raw, pose_smooth and kp_driving.

    canonical: keypoints of the clip's portrait, float32 [1, 15, 3].
    """
    reference = clip["ref"].astype(np.float32)
    avatar = _avatar(reference, canonical)
    engines = _engines(stages, clip["z"].shape[-1], reference.shape[1])
    options = PipelineOptions(face=FaceOptions(pose_style=int(clip["pose_style"]), pose_mode="offline"))
    stream = CoefficientStream(engines, avatar, options, Script(blink=clip["blink"][:, 0], noise=clip["z"][:, 0]))
    blocks = PoseBlocks(PoseVae(engines["pose"], avatar, int(clip["pose_style"]), 0, clip["z"][:, 0]))
    mel, ready, windows, residuals = MelWindows(), [], [], []
    for piece in _pieces(clip["pcm"]):
        windows.append(mel.push(piece))
        residuals += blocks.push(windows[-1])
        ready += stream.push(piece)
    windows.append(mel.flush())
    residuals += blocks.push(windows[-1]) + blocks.flush()
    ready += stream.flush()
    now = np.stack([window.values[:, CONTEXT] for window in ready])
    scale = clip["coeff_scale"].astype(np.float32)
    scaled = [replace(window, values=window.values * scale) for window in ready]
    points = MotionStage(engines[avatar.motion_stage], avatar).infer(scaled)
    return {
        "windows": np.concatenate(windows)[:, 0],
        "exp": now[:, :EXPRESSION],
        "pose_raw": np.stack(residuals) + avatar.rest_pose(POSE),
        "pose_smooth": now[:, EXPRESSION:],
        "kp_driving": np.stack([keypoints.points for keypoints in points]),
    }


def _pieces(pcm: Array) -> list[Array]:
    """Cut the clip to whole frames, as the reference does, and yield float32 chunks of many sizes."""
    sound = pcm[: len(pcm) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME].astype(np.float32) * np.float32(1 / 32768)
    sizes = np.random.default_rng(0).integers(0, LARGEST_PIECE, 1 + 4 * len(sound) // LARGEST_PIECE)
    return np.split(sound, np.minimum(np.cumsum(sizes), len(sound)))


def _avatar(reference: Array, canonical: Array) -> Avatar:
    """Build an avatar from arrays alone, without pictures."""
    mode = "crop" if reference.shape[1] == EXPRESSION + POSE else "full"
    constants = {
        "reference": reference,
        "reference_expression": reference[:, :EXPRESSION],
        "reference_pose": reference[:, EXPRESSION : EXPRESSION + POSE],
        "reference_rest": reference[:, EXPRESSION + POSE :],
        "canonical_keypoints": canonical,
    }
    return Avatar(AvatarInfo("clip", "", "", "", Path(), mode), constants, np.zeros((1, 1, 3), np.uint8))


def _engines(stages: Stages, noise: int, rows: int) -> Engines:
    """Wrap the coefficient and motion stages as engines, with the manifest of a built family."""
    mel = (1, MEL_BANDS, WINDOW_MEL_FRAMES)
    expression = _spec(
        "expression",
        {"mel": ("n", *mel), "blink": ("n", 1), "reference_expression": (1, EXPRESSION)},
        {"expression": ("n", EXPRESSION)},
    )
    pose = _spec(
        "pose",
        {"mel": (BLOCK, *mel), "noise": (1, noise), "style": (1, STYLES), "reference_pose": (1, POSE)},
        {"residual": (BLOCK, POSE)},
    )
    motions = [
        _spec(
            name,
            {
                "coefficients": ("n", columns, 2 * CONTEXT + 1),
                "view": ("n", 3),
                "view_on": ("n", 3),
                "canonical_keypoints": (1, POINTS, 3),
            },
            {"keypoints": ("n", POINTS, 3)},
        )
        for name, columns in (("motion", EXPRESSION + POSE), ("motion_full", rows))
    ]
    specs = [
        replace(expression, lookahead_ms=EXPRESSION_MS),
        replace(pose, process="pose-vae"),
        *(replace(motion, lookahead_ms=CONTEXT_MS, context=(CONTEXT, CONTEXT)) for motion in motions),
    ]
    manifest = Manifest(
        folder=Path(),
        family="parity",
        version="",
        licence="",
        built_by="",
        fps=FPS,
        sample_rate=SAMPLE_RATE,
        size=0,
        coefficients=CoefficientLayout(tuple(f"exp_{i}" for i in range(EXPRESSION)), POSE_NAMES),
        stages={spec.name: spec for spec in specs},
        default_avatar="",
        avatars=(),
    )
    return Engines(manifest, {spec.name: _StageEngine(spec, stages) for spec in specs})


def _spec(
    name: str, inputs: Mapping[str, tuple[int | str, ...]], outputs: Mapping[str, tuple[int | str, ...]]
) -> StageSpec:
    taken, given = ({key: TensorSpec(shape) for key, shape in shapes.items()} for shapes in (inputs, outputs))
    return StageSpec(name, (GraphSpec(Path(), "fp32", taken, given),), lookahead_ms=0)


@dataclass(frozen=True)
class _StageEngine:
    """Adapt one of the `Stages` to the engine interface. held: the constants of a binding."""

    spec: StageSpec
    stages: Stages
    held: Mapping[str, Array] | None = None

    def activate(self) -> None:
        """Do nothing: stages need no warm-up."""

    def deactivate(self) -> None:
        """Do nothing: stages hold no resources."""

    def infer(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the stage."""
        given = {**(self.held or {}), **inputs}
        return {name: np.array(value) for name, value in self.stages.run(self.spec.name, given).items()}

    def bind(self, constants: Mapping[str, Array], outputs: Collection[str] | None = None) -> _StageEngine:
        """Return the stage with some inputs bound as constants."""
        return replace(self, held=constants)
