"""What a student has to have seen: the motions that its teacher's own networks make, and the room about them.

A third part of the windows is speech as it comes. Another is speech with the head turned evenly over its range, since
heads are seldom at its ends. In the last, expressions too are spread evenly, along the principal axes of those of
speech, so that a louder or a livelier voice than was heard meets nothing new.
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

STYLES = 8  # of head motion that speech is moved in, at most
REACH = 1.25  # times the range of what speech does
SPREAD = 2.5  # standard deviations that expressions reach along an axis
AXES = 16  # along which they are spread
LEAST_SPREAD = 1e-4  # of the largest axis: those below are noise
HELD = 100  # frames of the last sound that are kept back, at most
PAUSE_S = 0.4


@dataclass(frozen=True, eq=False)
class Motions:
    """Windows of coefficients for the teacher's motion stage.

    learnt: float32 [n, C, W], to learn from; held: [m, C, W], of a sound that is not among the others.
    """

    learnt: FloatArray
    held: FloatArray


def synthetic_speech(seconds: float, seed: int) -> list[FloatArray]:
    """eSpeak's lines in many voices and languages, float32 [n] each at 16 kHz, of so many seconds in all.

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
    """Choose `count` windows to learn from; the last of the sounds is held back, or the end of the only one."""
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
    """The windows of one sound, [n, C, W]."""
    face = FaceOptions(pose_style=seed % styles) if styles else FaceOptions()
    stream = CoefficientStream(engines, avatar, replace(PipelineOptions(seed=seed), face=face))
    return np.stack([window.values for window in (*stream.push(sound), *stream.flush())])


def _even(rng: np.random.Generator, heard: FloatArray, count: int) -> FloatArray:
    """Rows held still anywhere in the range of those heard [n, P, W], and a little beyond it: [count, P, W]."""
    low, high = heard.min((0, 2)), heard.max((0, 2))
    middle, half = (low + high) / 2, (high - low) / 2 * REACH
    values = middle + half * rng.uniform(-1, 1, (count, len(low)))
    return np.repeat(values[..., None], heard.shape[2], 2).astype(np.float32)


def _along_axes(rng: np.random.Generator, heard: FloatArray, count: int) -> FloatArray:
    """Expressions held still, spread evenly along the main axes of those heard [n, E, W]: [count, E, W]."""
    rows = heard[..., heard.shape[2] // 2]
    mean = rows.mean(0)
    _, lengths, axes = np.linalg.svd(rows - mean, full_matrices=False)
    kept = np.flatnonzero(lengths >= LEAST_SPREAD * lengths[0])[:AXES]
    deviations = lengths[kept] / np.sqrt(len(rows))
    values = mean + (rng.uniform(-SPREAD, SPREAD, (count, kept.size)) * deviations) @ axes[kept]
    return np.repeat(values[..., None], heard.shape[2], 2).astype(np.float32)
