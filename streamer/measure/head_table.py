"""Compare head motion during speech: the learnt motion, style by style, and the hand-written process.

    python -m streamer.measure.head_table SOUND... [--styles 0,7,19] [--seeds 8] [--plot FILE.svg] [--json FILE]

Figures are means over sounds and seeds; in brackets, how many of the four figures are in the range of real speakers.
Diversity is the distance of poses of different seeds at the same time: standard deviation over seeds, averaged over
pitch, yaw and roll.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from engines import SHIPPED_FAMILY
from engines.files import replacing
from engines.manifest import Manifest
from engines.runtime import Engines
from streamer.audio.loudness import FrameLoudness
from streamer.audio.sound_file import read_sound
from streamer.avatar.bundle import PREPARING
from streamer.core.console import say
from streamer.core.errors import AvatarError, ConfigError, MediaError
from streamer.core.files import check_output, write_json
from streamer.core.frames import FloatArray, Heard
from streamer.core.rates import FPS, SAMPLE_RATE
from streamer.measure.head_motion import REAL, HeadMotion, measure
from streamer.stages.causal_pose import CausalPose
from streamer.stages.mel_windows import MelWindows, WindowShape
from streamer.stages.pose import CAUSAL, IdlePose

HAND = "by hand"
MOST_S = 30.0
_COLOURS = ("#c0392b", "#2563a8", "#2e8b57")  # pitch, yaw, roll
_WIDTH, _HEIGHT, _SPAN = 900, 110, 12.0  # of a plot in pixels, and its range in degrees, either way


@dataclass(frozen=True, eq=False)
class Sound:
    """A sound file as input to the stages."""

    name: str
    heard: Heard

    @classmethod
    def read(cls, path: Path, shape: WindowShape) -> Sound:
        """Read a sound file. Raises MediaError: it is not a sound, or too short to measure."""
        samples = np.concatenate([np.zeros(0, np.float32), *read_sound(path)])[: round(MOST_S * SAMPLE_RATE)]
        windows, loudness = MelWindows(shape), FrameLoudness()
        heard = np.concatenate([windows.push(samples), windows.flush()])
        levels = loudness.push(samples) + loudness.flush()
        if len(levels) < 4 * FPS:
            raise MediaError(f"{path}: {len(samples) / SAMPLE_RATE:.1f} s of sound, at least 4 are needed")
        return cls(path.name, Heard(heard, levels))


@dataclass(frozen=True)
class Line:
    """The figures of one style: means over sounds and seeds."""

    name: str
    figures: dict[str, float]
    diversity: float
    in_range: int


def line(name: str, tracks: Sequence[tuple[Sound, Sequence[FloatArray]]]) -> Line:
    """Compute the figures from tracks [n, 6], several seeds per sound."""
    found = [measure(track, sound.heard.levels) for sound, seeds in tracks for track in seeds]
    figures = {f.name: round(float(np.mean([getattr(m, f.name) for m in found])), 3) for f in fields(HeadMotion)}
    apart = [np.stack(seeds)[:, :, :3].std(axis=0).mean() for _, seeds in tracks]
    inside = sum(low <= figures[key] <= high for key, (low, high) in REAL.items())
    return Line(name, figures, round(float(np.mean(apart)), 2), inside)


def tracks_of(
    engines: Engines, sounds: Sequence[Sound], style: int | None, seeds: int
) -> list[tuple[Sound, list[FloatArray]]]:
    """Return, per sound, the tracks of a style for each seed; style None is the hand-written process."""

    def moved(sound: Sound, seed: int) -> FloatArray:
        source = IdlePose(seed, 0) if style is None else CausalPose(engines["pose"], style, seed, 0)
        return np.stack(source.push(sound.heard))

    return [(sound, [moved(sound, seed) for seed in range(seeds)]) for sound in sounds]


def plot(panels: Sequence[tuple[str, FloatArray]]) -> str:
    """Draw pitch, yaw and roll of several tracks [n, 6] over time, as SVG."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT * len(panels)}" '
        'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
    ]
    for row, (title, track) in enumerate(panels):
        middle = _HEIGHT * (row + 0.5)
        parts.append(
            f'<path d="M0 {middle}H{_WIDTH}" stroke="#ccc"/><text x="4" y="{_HEIGHT * row + 14}">{title}</text>'
        )
        across = np.linspace(0, _WIDTH, len(track))
        for axis, colour in enumerate(_COLOURS):
            down = middle + track[:, axis] * (_HEIGHT / 2 / _SPAN)
            line = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True))
            parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.4"/>')
    return "".join([*parts, "</svg>"])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m streamer.measure.head_table", description=__doc__.split("\n")[0])
    parser.add_argument("sounds", type=Path, nargs="+", metavar="SOUND", help="speech, at least 4 s")
    parser.add_argument("--styles", default="0", metavar="N,N", help="styles of head motion (default: 0)")
    parser.add_argument("--seeds", type=int, default=8, help="heads that move to each sound (default: 8)")
    parser.add_argument("--plot", type=Path, help="also draw the first sound's motion to this SVG file")
    parser.add_argument("--json", type=Path, help="also write the table to this file")
    parser.add_argument("--engines", type=Path, default=SHIPPED_FAMILY, help="the family's folder")
    args = parser.parse_args(argv)
    try:
        run(args)
    except (AvatarError, ValueError) as error:
        say(f"head_table: {error}", sys.stderr)
        return 2
    return 0


def run(args: argparse.Namespace) -> None:
    """Measure and print. Raises AvatarError, ValueError: something given cannot be used."""
    for path in filter(None, (args.plot, args.json)):
        check_output(path)
    manifest = Manifest.load(args.engines)
    if manifest.stage("pose").process != CAUSAL:
        raise ConfigError(f"family {manifest.family} has no head motion of process {CAUSAL}")
    shape = WindowShape.of(manifest.stage("expression"))
    sounds = [Sound.read(path, shape) for path in args.sounds]
    lines, panels = [], []
    with Engines.open(manifest, without=PREPARING) as engines:
        for style in (None, *(int(text) for text in args.styles.split(","))):
            tracks = tracks_of(engines, sounds, style, max(2, args.seeds))
            name = HAND if style is None else f"style {style}"
            lines.append(line(name, tracks))
            panels.append((f"{name}: pitch red, yaw blue, roll green, {_SPAN:g} degrees either way", tracks[0][1][0]))
            figures = "  ".join(f"{key} {value:g}" for key, value in lines[-1].figures.items())
            say(f"{name:9s} [{lines[-1].in_range}/4]  {figures}  diversity {lines[-1].diversity:g}")
    if args.plot is not None:
        with replacing(args.plot) as partial:
            partial.write_text(plot(panels), "utf-8")
    if args.json is not None:
        write_json(args.json, [asdict(item) for item in lines])


if __name__ == "__main__":
    sys.exit(main())
