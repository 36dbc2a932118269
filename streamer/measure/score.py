"""Measure what each look-ahead setting costs in lip motion, and how lively the face is.

    python -m streamer.measure.score --audio FILE [--avatar NAME] [--engines DIR] [--json FILE]

The reference is the same face with the full look-ahead. The score compares how the mouth's pixels vary about their
mean: `amplitude` is the size of the variation relative to the reference; `correlation` its similarity, frame by frame;
`lag_ms` is the delay of the mouth, and `correlation_at_lag` the similarity at that delay. The head is still and the
seed fixed, so that nothing else moves.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from engines import SHIPPED_FAMILY
from engines.manifest import Manifest
from streamer.audio.sound_file import read_sound
from streamer.avatar.bundle import PREPARING
from streamer.avatar.catalogue import default_name, find_avatar
from streamer.core.console import say
from streamer.core.errors import AvatarError, MediaError
from streamer.core.files import check_output, write_json
from streamer.core.frames import ByteArray, FloatArray
from streamer.core.options import FaceOptions, PipelineOptions
from streamer.core.rates import FRAME_MS
from streamer.pipeline import Avatar, Engines, Pipeline

MOUTH = ((0.5, 0.9), (0.25, 0.75))  # rows and columns of a portrait, as fractions
STEPS = 5  # settings below the full look-ahead
LATEST = 6  # largest lag searched, in frames
MOST_S = 20.0  # of the sound
MOVED = 0.5  # mean change of the mouth region between frames, in grey levels, that counts as movement


@dataclass(frozen=True)
class Score:
    """The result for one look-ahead setting."""

    lookahead_ms: int
    amplitude: float
    correlation: float
    lag_ms: int
    correlation_at_lag: float
    moving: float  # share of frames in which the mouth moved


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m streamer.measure.score", description=__doc__.split("\n")[0])
    parser.add_argument("--audio", type=Path, required=True, help="speech: any sound file, of which 20 s are used")
    parser.add_argument("--avatar", help="whose face (default: the family's first)")
    parser.add_argument("--engines", type=Path, default=SHIPPED_FAMILY, help="the family's folder")
    parser.add_argument("--json", type=Path, help="also write the scores to this file")
    options = parser.parse_args(argv)
    try:
        if options.json is not None:
            check_output(options.json)
        scores = score(options.engines, options.avatar, options.audio)
        if options.json is not None:
            write_json(options.json, [asdict(item) for item in scores])
    except AvatarError as error:
        say(f"score: {error}", sys.stderr)
        return 2
    return 0


def score(family: Path, avatar: str | None, audio: Path) -> list[Score]:
    """Score the look-ahead settings from full to none, and print each row when it is ready.

    Raises:
        AvatarError: the family, the avatar or the sound cannot be used.
    """
    manifest = Manifest.load(family)
    name = avatar or default_name(manifest)
    find_avatar(manifest, name)
    sound = np.concatenate(list(read_sound(audio)))[: round(MOST_S * 16_000)]
    say("look-ahead   amplitude  correlation   late by  correlation then   mouth moves")
    scores: list[Score] = []
    with Engines.open(manifest, without=PREPARING) as engines:
        face = Avatar.load(engines, name)
        reference: FloatArray | None = None
        for lookahead in _places(manifest.lookahead_ms):
            mouths = _mouths(Pipeline(engines, face, PipelineOptions(lookahead, 0, FaceOptions(still=True))), sound)
            reference = mouths if reference is None else reference
            scores.append(_compare(lookahead, mouths, reference))
            say(_row(scores[-1]))
    return scores


def _places(full: int) -> list[int]:
    return sorted({round(full * step / STEPS / 5) * 5 for step in range(STEPS)} | {full}, reverse=True)


def _mouths(pipeline: Pipeline, sound: FloatArray) -> FloatArray:
    """Return the grey mouth region of every frame: float32 [n, pixels]."""
    frames = [frame.rgb for frame in pipeline.push(sound) + pipeline.flush()]
    if len(frames) < 2 * LATEST:
        raise MediaError(f"{len(frames)} frames of sound are too few to compare; at least {2 * LATEST}")
    return np.stack([_mouth(frame) for frame in frames])


def _mouth(rgb: ByteArray) -> FloatArray:
    rows, columns = (slice(int(a * side), int(b * side)) for (a, b), side in zip(MOUTH, rgb.shape[:2], strict=True))
    return np.asarray(rgb[rows, columns, :3].mean(axis=2, dtype=np.float32).ravel(), np.float32)


def _compare(lookahead: int, mouths: FloatArray, reference: FloatArray) -> Score:
    change, expected = mouths - mouths.mean(0), reference - reference.mean(0)
    alike = [_correlation(change[lag:], expected[: len(expected) - lag]) for lag in range(LATEST + 1)]
    lag = int(np.argmax(alike))
    moved = np.abs(np.diff(mouths, axis=0)).mean(axis=1) > MOVED
    return Score(
        lookahead_ms=lookahead,
        amplitude=round(float(np.sqrt((change**2).mean() / (expected**2).mean())), 3),
        correlation=round(alike[0], 3),
        lag_ms=lag * FRAME_MS,
        correlation_at_lag=round(alike[lag], 3),
        moving=round(float(moved.mean()), 3),
    )


def _correlation(a: FloatArray, b: FloatArray) -> float:
    return float((a * b).mean() / np.sqrt((a**2).mean() * (b**2).mean()))


def _row(item: Score) -> str:
    return (
        f"{item.lookahead_ms:7d} ms   {item.amplitude:9.2f}  {item.correlation:11.3f}  {item.lag_ms:5d} ms  "
        f"{item.correlation_at_lag:16.3f}  {item.moving:12.0%}"
    )


if __name__ == "__main__":
    sys.exit(main())
