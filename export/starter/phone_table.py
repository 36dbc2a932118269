"""Measure whether the lips reach each phone's target on recorded English with a known transcript.

    python -m export.starter.phone_table SOUND... [--texts FOLDER] [--avatar NAME] [--level DB] [--noise DB]

The words of `speech.wav` are in `speech.txt`, beside it or in --texts. Forced alignment (`voices.aligner`) gives the
time of each phone; the family's keypoints give the positions of lips, teeth and tongue at that time. --level amplifies
the sound, --noise adds white noise at that level below it. Lengths are in widths of the mouth; target values are in
brackets.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines import SHIPPED_FAMILY
from engines.manifest import Manifest
from export.starter.voices.aligner import Aligner
from export.starter.voices.speech import Phone, SpeechError
from streamer.audio.sound_file import read_sound
from streamer.avatar.bundle import PREPARING
from streamer.avatar.catalogue import default_name
from streamer.avatar.condition_maps import Topology
from streamer.core.errors import AvatarError
from streamer.core.frames import CoefficientWindow, FloatArray
from streamer.core.options import FaceOptions, PipelineOptions
from streamer.core.rates import FPS
from streamer.pipeline import Avatar, CoefficientStream, Engines
from streamer.stages.motion import MotionStage

CORNERS, UPPER_LIP, LOWER_LIP = (61, 291), 13, 14  # keypoints, in MediaPipe's numbering
MIDDLE_TEETH = slice(4, 6)  # of a jaw's ten
SHUT = TOUCHING = 0.03
OPEN = 0.05  # smallest gap between the lips at which the tongue is visible
# Seconds by which a mouth may be earlier and later than its sound.
EARLY, LATE = 0.05, 0.01
CLOSURES, LIP_TO_TEETH, HUSHES = ("p", "b", "m"), ("f", "v"), ("ʃ", "ʒ", "tʃ", "dʒ")
ROUNDED, GLIDE, DENTALS = ("u", "ʊ"), ("w",), ("θ", "ð")

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Mouth:
    """A mouth over time, [frames] each. gap: between the lips; lip_to_teeth: from the upper teeth's edge down to the
    lower lip; width: from corner to corner; tongue: distance of its tip in front of the upper teeth. `width` is in half
    pictures, the others in widths."""

    gap: Doubles
    lip_to_teeth: Doubles
    width: Doubles
    tongue: Doubles

    @classmethod
    def of(cls, points: FloatArray, topology: Topology) -> Mouth:
        """Read off keypoints [frames, K, 3] (x right, y down, z to the viewer)."""
        p = points.astype(np.float64)
        width = np.linalg.norm(p[:, CORNERS[0], :2] - p[:, CORNERS[1], :2], axis=1)
        teeth = p[:, topology.teeth[0, MIDDLE_TEETH].ravel()]
        return cls(
            gap=(p[:, LOWER_LIP, 1] - p[:, UPPER_LIP, 1]) / width,
            lip_to_teeth=(p[:, LOWER_LIP, 1] - teeth[..., 1].max(axis=1)) / width,
            width=width,
            tongue=(p[:, topology.tongue, 2].max(axis=1) - teeth[..., 2].max(axis=1)) / width,
        )


@dataclass
class Table:
    """Statistics of each phone of a class. Shares are means of booleans."""

    closed: list[bool] = field(default_factory=list)
    tucked: list[bool] = field(default_factory=list)
    hushes: list[float] = field(default_factory=list)  # gap at the middle of the phone
    rounded: list[float] = field(default_factory=list)  # smallest width, relative to that at rest
    glides: list[float] = field(default_factory=list)
    tongue: list[bool] = field(default_factory=list)

    def add(self, phones: Iterable[Phone], mouth: Mouth, rest_width: float) -> None:
        """Add every phone, judged by its frames."""
        middles = (np.arange(len(mouth.gap)) + 0.5) / FPS
        for phone in phones:
            said = np.flatnonzero((middles >= phone.start - EARLY) & (middles <= phone.end + LATE))
            if not said.size:
                continue
            gap, lip = mouth.gap[said], mouth.lip_to_teeth[said]
            if phone.symbol in CLOSURES:
                self.closed.append(bool(gap.min() <= SHUT))
            elif phone.symbol in LIP_TO_TEETH:
                self.tucked.append(bool(np.abs(lip).min() <= TOUCHING))
            elif phone.symbol in HUSHES:
                self.hushes.append(float(np.median(gap)))
            elif phone.symbol in ROUNDED:
                self.rounded.append(float(mouth.width[said].min() / rest_width))
            elif phone.symbol in GLIDE:
                self.glides.append(float(mouth.width[said].min() / rest_width))
            elif phone.symbol in DENTALS:
                self.tongue.append(bool(((mouth.tongue[said] > 0) & (gap > OPEN)).any()))

    def rows(self) -> list[str]:
        """Format the table as lines of text."""
        return [
            f"p b m   lips shut (90 %)                     {_share(self.closed)}",
            f"f v     lower lip at the upper teeth (80 %)  {_share(self.tucked)}",
            f"sh ch j gap, median (at most 0.17)           {_median(self.hushes)}",
            f"oo      width of rest, median (at most 0.85) {_median(self.rounded)}",
            f"w       width of rest, median                {_median(self.glides)}",
            f"th      tongue seen (60 %)                   {_share(self.tongue)}",
        ]


def _share(seen: Sequence[bool]) -> str:
    return f"{np.mean(seen):6.0%}  of {len(seen)}" if seen else "   none"


def _median(seen: Sequence[float]) -> str:
    return f"{np.median(seen):6.2f}  of {len(seen)}" if seen else "   none"


class Face:
    """An avatar with a still head whose mouth is measured while it speaks."""

    def __init__(self, engines: Engines, name: str) -> None:
        self._engines, self._avatar = engines, Avatar.load(engines, name)
        conditions = engines.manifest.stage("render").conditions
        if conditions is None:
            raise SpeechError(f"family {engines.manifest.family} draws no conditions: its teeth are not known")
        self._topology = Topology.load(conditions)
        self._motion = MotionStage(engines[self._avatar.motion_stage], self._avatar)

    def say(self, sound: FloatArray) -> Mouth:
        """Measure the mouth over float32 [n] at SAMPLE_RATE."""
        stream = CoefficientStream(self._engines, self._avatar, PipelineOptions(None, 0, FaceOptions(still=True)))
        return self.shape(stream.push(sound) + stream.flush())

    def rest_width(self) -> float:
        """Return the mouth width of the portrait."""
        past, future = self._engines.manifest.stage(self._avatar.motion_stage).context
        values = np.zeros((len(self._engines.manifest.coefficients), past + 1 + future), np.float32)
        return float(self.shape([CoefficientWindow(0, values)]).width[0])

    def shape(self, windows: list[CoefficientWindow]) -> Mouth:
        """Measure the mouth for given coefficients."""
        return Mouth.of(np.stack([frame.points for frame in self._motion.infer(windows)]), self._topology)


def disturbed(sound: FloatArray, level_db: float, noise_db: float | None) -> FloatArray:
    """Amplify `sound` by `level_db` and add white noise `noise_db` below its mean power."""
    heard = sound.astype(np.float64)
    if noise_db is not None:
        power = np.sqrt((heard**2).mean()) * 10 ** (-noise_db / 20)
        heard = heard + power * np.random.default_rng(0).standard_normal(len(heard))
    return np.asarray(heard * 10 ** (level_db / 20), np.float32)


def measure(args: argparse.Namespace) -> Table:
    """Measure all sounds. Raises AvatarError or OSError for unusable files."""
    manifest, aligner, table = Manifest.load(args.family), Aligner(), Table()
    with Engines.open(manifest, without=PREPARING) as engines:
        face = Face(engines, args.avatar or default_name(manifest))
        for path in args.sounds:
            sound = np.concatenate(list(read_sound(path)))
            words = ((args.texts or path.parent) / path.with_suffix(".txt").name).read_text()
            phones = aligner.align(sound, words)
            if phones is None:
                raise SpeechError(f"{path}: these words do not fit it, or one is in no dictionary: {words.strip()!r}")
            table.add(phones, face.say(disturbed(sound, args.level, args.noise)), face.rest_width())
    return table


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m export.starter.phone_table", description=__doc__.split("\n")[0])
    parser.add_argument("sounds", type=Path, nargs="+", metavar="SOUND", help="recorded English")
    parser.add_argument("--texts", type=Path, help="folder of their words, NAME.txt each (default: beside the sound)")
    parser.add_argument("--avatar", help="whose face (default: the family's first)")
    parser.add_argument("--family", type=Path, default=SHIPPED_FAMILY, help="the family's folder")
    parser.add_argument("--level", type=float, default=0.0, metavar="DB", help="make the sound so much louder")
    parser.add_argument("--noise", type=float, metavar="DB", help="white noise, so far below the sound")
    try:
        print("\n".join(measure(parser.parse_args(argv)).rows()))
    except (AvatarError, OSError) as error:
        print(f"phone_table: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
