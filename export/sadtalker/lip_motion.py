"""Lip-motion gate: compare a build's mouth motion with the float32 reference's.

Ports of this generator have kept a good picture while the lips stood still ("almost no movement at the lips",
wujinzhong/SadTalker_TensorRT): most of a picture does not move, so PSNR hardly shows it. The gate therefore compares
only motion: each mouth pixel's deviation from its mean over a driving sequence, against the reference's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from engines import SHIPPED_FAMILY
from engines.errors import AvatarError
from engines.runtime import Engine
from streamer.core.frames import FloatArray
from streamer.core.rates import SAMPLE_RATE, SAMPLES_PER_FRAME
from streamer.stages.mel_windows import clip_windows

RATIO = (0.95, 1.05)  # allowed amplitude, relative to the reference's
CORRELATION = 0.99  # lowest allowed correlation with the reference
# The mouth of an aligned portrait with its range of movement: rows and columns as shares of the picture.
MOUTH = ((0.5, 0.9), (0.25, 0.75))
STILL = 1e-4  # pixels in 0..1: a reference that changes less cannot be compared
FRAMES = 6  # of the driving sequence
FRAME_STEP = 2  # every second frame of the sound: 6 frames are nearly two syllables
FARTHEST = 0.2  # largest movement of a point, in half picture widths: more than any mouth's
VOICE_HZ, SYLLABLES_HZ, FORMANTS_HZ = 120.0, 4.0, (500.0, 1500.0, 2500.0)


class LipMotionError(AvatarError):
    """A build's lip motion differs from the reference's."""


@dataclass(frozen=True)
class LipMotion:
    """Comparison of a build's frames with the reference's. ratio, correlation: of mouth motion; psnr: dB, of all."""

    ratio: float
    correlation: float
    psnr: float

    @property
    def accepted(self) -> bool:
        """Whether amplitude and correlation of the mouth's motion are within their limits."""
        return RATIO[0] <= self.ratio <= RATIO[1] and self.correlation > CORRELATION

    def __str__(self) -> str:
        return f"lip motion {self.ratio:.3f} of the reference's, correlation {self.correlation:.4f}, {self.psnr:.1f} dB"

    def require(self, build: str) -> None:
        """Raise an error if the build is not accepted.

        Raises:
            LipMotionError: motion or correlation is outside its limits.
        """
        if not self.accepted:
            raise LipMotionError(
                f"{build} is refused: {self}; expected {RATIO[0]} to {RATIO[1]} and a correlation above {CORRELATION}; "
                "export with PRECISION=fp32"
            )


def compare(reference: FloatArray, build: FloatArray) -> LipMotion:
    """Compare frames [T, 3, S, S] in 0..1 of the same driving sequence.

    Raises:
        LipMotionError: the reference's mouth does not move, so there is nothing to compare.
    """
    moved, expected = _change(build), _change(reference)
    amplitude = float(np.sqrt((expected**2).mean()))
    if amplitude < STILL:
        raise LipMotionError(f"the reference's mouth does not move ({amplitude:.1e} of the range): nothing to compare")
    own = float(np.sqrt((moved**2).mean()))
    correlation = float((moved * expected).mean()) / (own * amplitude) if own else 0.0
    error = float(((build.astype(np.float64) - reference) ** 2).mean())
    return LipMotion(own / amplitude, correlation, 10 * float(np.log10(1 / max(error, 1e-12))))


def _change(frames: FloatArray) -> FloatArray:
    """Return each mouth pixel's deviation from its mean over time, in float64."""
    sides = zip(MOUTH, frames.shape[2:], strict=True)
    rows, columns = (slice(int(first * side), int(last * side)) for (first, last), side in sides)
    mouth = frames[:, :, rows, columns].astype(np.float64)
    change: FloatArray = mouth - mouth.mean(0)
    return change


@dataclass(frozen=True)
class Drive:
    """Driving sequence: keypoints [1, 15, 3] of the portrait and every frame, and the portrait's render constants."""

    constants: Mapping[str, FloatArray]
    driving: Sequence[FloatArray]


def drive(expression: Engine, motion: Engine, appearance: Engine, frames: int = FRAMES) -> Drive:
    """Animate a portrait of the starter family with syllables, by the exported family's own networks.

    The head is still, so only the expression network causes motion, mainly of the mouth.
    """
    seen = appearance.infer({"portrait": _portrait(appearance)})
    canonical = seen.pop("canonical_keypoints")
    mel = clip_windows(syllables(2 * frames * FRAME_STEP))[frames * FRAME_STEP :: FRAME_STEP]
    width = expression.spec.inputs["reference_expression"].shape[1]
    heard = {"mel": mel, "blink": np.zeros((len(mel), 1), np.float32)}
    spoken = expression.infer(heard | {"reference_expression": np.zeros((1, int(width)), np.float32)})["expression"]
    neutral = np.zeros((1, spoken.shape[1]), np.float32)
    points = _keypoints(motion, canonical, np.concatenate([neutral, spoken]))
    moves = points[1:] - points[:1]
    # Untrained weights can move points out of the picture, where rounding would decide the result.
    moves *= min(1.0, FARTHEST / max(float(np.abs(moves).max()), FARTHEST))
    return Drive(seen | {"source_keypoints": points[:1]}, list(points[:1] + moves[:, None]))


def render(engine: Engine, sequence: Drive) -> FloatArray:
    """Render a driving sequence to pictures [T, 3, S, S]."""
    binding = engine.bind(sequence.constants, ["image"])
    return np.concatenate([binding.infer({"driving_keypoints": points})["image"] for points in sequence.driving])


def _keypoints(motion: Engine, canonical: FloatArray, expressions: FloatArray) -> FloatArray:
    """Compute keypoints [n, 15, 3] of constant expressions [n, 64] at a frontal pose."""
    channels, window = motion.spec.inputs["coefficients"].shape[1:]
    held = np.zeros((len(expressions), int(channels), int(window)), np.float32)
    held[:, : expressions.shape[1]] = expressions[..., None]
    view = np.zeros((len(held), 3), np.float32)
    inputs = {"coefficients": held, "view": view, "view_on": view, "canonical_keypoints": canonical}
    points: FloatArray = motion.infer(inputs)["keypoints"]
    return points


def syllables(frames: int) -> FloatArray:
    """Synthesise "a a a" [samples]: harmonics under three formants, four syllables a second."""
    time = np.arange(frames * SAMPLES_PER_FRAME) / SAMPLE_RATE
    harmonics = VOICE_HZ * np.arange(1, int(SAMPLE_RATE / 2 / VOICE_HZ))
    levels = sum(np.exp(-(((harmonics - formant) / 150.0) ** 2)) for formant in FORMANTS_HZ)
    voice = (levels[:, None] * np.sin(2 * np.pi * harmonics[:, None] * time)).sum(0)
    swell = (0.5 - 0.5 * np.cos(2 * np.pi * SYLLABLES_HZ * time)) ** 2
    return np.asarray(0.1 * voice * swell, np.float32)


def _portrait(appearance: Engine) -> FloatArray:
    """Read a bundled avatar's portrait, [1, 3, S, S] in 0..1, at the family's size."""
    size = int(appearance.spec.inputs["portrait"].shape[-1])
    path = min(Path(SHIPPED_FAMILY).glob("avatars/*/portrait.webp"))
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise LipMotionError(f"{path}: not a picture")
    rgb = cv2.cvtColor(cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
    return np.ascontiguousarray(rgb.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
