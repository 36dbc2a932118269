"""Sample the motions to train a student on: those its teacher's networks compute from speech, and a margin around them.

A third of the windows is speech as it is. In another third, the head is turned evenly over its range, since speech
seldom reaches the ends. In the last third, expressions too are spread evenly, along the principal axes of those of
speech, so that a louder or livelier voice than the samples stays within the trained range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from engines.runtime import Engines
from export.starter.voices.corpus import espeak_line
from export.starter.voices.speech import shared_espeak
from streamer.core.frames import FloatArray
from streamer.core.options import FaceOptions, PipelineOptions
from streamer.pipeline import Avatar, CoefficientStream

STYLES = 8  # head-motion styles used for the speech, at most
REACH = 1.25  # range of the head, relative to its range in speech
SPREAD = 2.5  # range of expressions along an axis, in standard deviations
AXES = 16  # principal axes along which expressions are spread
LEAST_SPREAD = 1e-4  # relative to the largest axis: smaller ones are noise
HELD = 100  # frames of the last sound that are held back, at most
PAUSE_S = 0.4


@dataclass(frozen=True, eq=False)
class Motions:
    """Windows of coefficients for the teacher's motion stage.

    learnt: float32 [n, C, W], for training; held: [m, C, W], from a held-back sound.
    """

    learnt: FloatArray
    held: FloatArray


def synthetic_speech(seconds: float, seed: int) -> list[FloatArray]:
    """Speak lines with eSpeak in many voices and languages, float32 [n] each at 16 kHz, `seconds` in total.

    Raises:
        SpeechError: the library libespeak-ng is not installed.
    """
    rng, espeak, sounds, said = np.random.default_rng(seed), shared_espeak(), list[FloatArray](), 0.0
    silence = np.zeros(int(PAUSE_S * 16_000), np.float32)
    while said < seconds or len(sounds) < 2:
        line = espeak_line(rng)
        spoken = espeak.say(line.text, line.voice, line.rate, line.pitch, line.pitch_range).samples
        sounds.append(np.concatenate([silence, spoken, silence]).astype(np.float32))
        said += sounds[-1].size / 16_000
    return sounds


def sample(engines: Engines, avatar: Avatar, sounds: Sequence[FloatArray], count: int, seed: int = 0) -> Motions:
    """Choose `count` windows for training; the last of the sounds is held back, or the end of a single one."""
    sounds = _two_or_more(sounds)
    styles = _styles(engines)
    spoken = [_spoken(engines, avatar, sound, seed + i, styles) for i, sound in enumerate(sounds)]
    heard, held = np.concatenate(spoken[:-1]), spoken[-1][:HELD]
    rng = np.random.default_rng(seed)
    expressions = len(engines.manifest.coefficients.expression)
    chosen = heard[rng.choice(len(heard), count, replace=len(heard) < count)]
    turned, spread = np.arange(count) % 3 != 0, np.arange(count) % 3 == 2
    chosen[turned, expressions:] = _even(rng, heard[:, expressions:], int(turned.sum()))
    chosen[spread, :expressions] = _along_axes(rng, heard[:, :expressions], int(spread.sum()))
    return Motions(chosen[rng.permutation(count)], held)


def _two_or_more(sounds: Sequence[FloatArray]) -> list[FloatArray]:
    if len(sounds) > 1:
        return list(sounds)
    (only,) = sounds
    return np.split(only, [int(0.85 * only.size)])


def _styles(engines: Engines) -> int:
    pose = engines.manifest.stage("pose")
    styles = pose.inputs.get("style")
    return min(STYLES, int(styles.shape[1])) if styles else 0


def _spoken(engines: Engines, avatar: Avatar, sound: FloatArray, seed: int, styles: int) -> FloatArray:
    """Compute the windows of one sound, [n, C, W]."""
    face = FaceOptions(pose_style=seed % styles) if styles else FaceOptions()
    stream = CoefficientStream(engines, avatar, replace(PipelineOptions(seed=seed), face=face))
    return np.stack([window.values for window in (*stream.push(sound), *stream.flush())])


def _even(rng: np.random.Generator, heard: FloatArray, count: int) -> FloatArray:
    """Draw constant windows [count, P, W], uniform over the range of those heard [n, P, W] times REACH."""
    low, high = heard.min((0, 2)), heard.max((0, 2))
    middle, half = (low + high) / 2, (high - low) / 2 * REACH
    values = middle + half * rng.uniform(-1, 1, (count, len(low)))
    return np.repeat(values[..., None], heard.shape[2], 2).astype(np.float32)


def _along_axes(rng: np.random.Generator, heard: FloatArray, count: int) -> FloatArray:
    """Draw constant expressions [count, E, W], uniform along the principal axes of those heard [n, E, W]."""
    rows = heard[..., heard.shape[2] // 2]
    mean = rows.mean(0)
    _, lengths, axes = np.linalg.svd(rows - mean, full_matrices=False)
    kept = np.flatnonzero(lengths >= LEAST_SPREAD * lengths[0])[:AXES]
    deviations = lengths[kept] / np.sqrt(len(rows))
    values = mean + (rng.uniform(-SPREAD, SPREAD, (count, kept.size)) * deviations) @ axes[kept]
    return np.repeat(values[..., None], heard.shape[2], 2).astype(np.float32)
