"""Compare a student with its teacher on held-back pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.files import write_bytes
from engines.manifest import Manifest
from engines.runtime import Engines
from export.distil.regions import Regions
from export.distil.teacher import Lessons, Pictures
from export.starter.training.generator import SIZE
from streamer.avatar.bundle import PREPARING
from streamer.core import pictures
from streamer.core.frames import ByteArray, Keypoints
from streamer.pipeline import Avatar
from streamer.stages.render import RenderStage

SHEET_FRAMES = 8  # held-back frames on the sheet, each teacher over student
MOUTH = 28  # half the side of the mouth's square, in pixels of the network's picture


@dataclass(frozen=True)
class Likeness:
    """PSNR in dB of a student's held-back pictures against the teacher's, of the whole picture and the mouth's square,
    and the same of the unmoved portrait as the baseline."""

    picture: float
    mouth: float
    still_picture: float
    still_mouth: float

    def __str__(self) -> str:
        return (
            f"held-back frames: {self.picture:.1f} dB, mouth {self.mouth:.1f} dB "
            f"(the portrait unmoved: {self.still_picture:.1f} and {self.still_mouth:.1f})"
        )


def compare(folder: Path, lessons: Lessons, taught: Pictures, regions: Regions, sheet: Path) -> Likeness:
    """Render the held-back lessons with the family in `folder`, and write a sheet of both pictures.

    Raises:
        AvatarError: the family does not open.
        OSError: the sheet cannot be written.
    """
    with Engines.open(Manifest.load(folder), threads=1, without=PREPARING) as engines:
        avatar = Avatar.load(engines)
        render = RenderStage(engines, avatar)
        made = [render.infer(Keypoints(i, points)).rgb for i, points in enumerate(lessons.held)]
    wanted = [taught[index] for index in range(len(made))]
    write_bytes(sheet, pictures.encode_png(_sheet(wanted, made)))
    size = avatar.photo.shape[0]
    top, left = np.clip((regions.middles[2] - MOUTH) * size / SIZE, 0, size - 1).astype(int)
    side = max(1, 2 * MOUTH * size // SIZE)
    still = [avatar.photo] * len(wanted)

    def part(rows: list[ByteArray]) -> Iterator[ByteArray]:
        return (row[top : top + side, left : left + side] for row in rows)

    return Likeness(
        psnr(wanted, made),
        psnr(list(part(wanted)), list(part(made))),
        psnr(wanted, still),
        psnr(list(part(wanted)), list(part(still))),
    )


def psnr(wanted: list[ByteArray], made: list[ByteArray]) -> float:
    """Return the peak signal-to-noise ratio over pairs of pictures, in dB."""
    errors = [np.square(a.astype(np.float64) - b).mean() for a, b in zip(wanted, made, strict=True)]
    return float(10 * np.log10(255**2 / max(float(np.mean(errors)), 1e-6)))


def _sheet(wanted: list[ByteArray], made: list[ByteArray]) -> ByteArray:
    chosen = np.linspace(0, len(made) - 1, min(SHEET_FRAMES, len(made))).astype(int)
    rows = [np.concatenate([frames[i] for i in chosen], 1) for frames in (wanted, made)]
    return np.concatenate(rows)
