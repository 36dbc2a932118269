"""Avatar from a video clip: selection of the best portrait, and the person's manner of moving.

The best portrait is sharp and looks into the camera, with open eyes and a closed mouth.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from streamer.avatar.bundle_files import write_picture
from streamer.avatar.manner import Manner
from streamer.core.errors import MediaError, PhotoError
from streamer.core.frames import ByteArray, FloatArray
from streamer.core.rates import FPS
from streamer.photo.clip_manner import manner_of
from streamer.photo.portrait import head_angles
from streamer.vision.landmarks import POINTS, Landmarker
from streamer.vision.video_pictures import pictures

SUFFIXES = (".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi")
STEP = 2  # every second picture is analysed
# Scales of the penalties; a penalty of about 1 rules a picture out. Degrees from the front; opening of the mouth over
# its width; lowering of the lids as a share of their usual opening; loss of sharpness as a share of the sharpest.
TURNED, OPEN, LOWERED, BLURRED = 12.0, 0.12, 0.35, 0.6
_FACE = (234, 454, 10, 152)  # mesh points at the face's edges


def is_clip(path: Path) -> bool:
    """Return whether the file name is that of a video."""
    return path.suffix.lower() in SUFFIXES


@dataclass(frozen=True, eq=False)
class Clip:
    """Analysed video clip.

    picture: the best one, [H, W, 3], at `seconds`; points: landmarks of every STEPth picture, [n, 478, 3], NaN without
    a face.
    """

    picture: ByteArray
    seconds: float
    points: FloatArray

    @property
    def manner(self) -> Manner | None:
        """The person's manner of moving, or None if too little is seen of them."""
        return manner_of(self.points, FPS / STEP)


@contextmanager
def still_of(path: Path, landmarker: Landmarker) -> Iterator[tuple[Path, Clip]]:
    """Provide a clip's best picture as a temporary PNG file for the block, and the analysed clip.

    Raises:
        PhotoError: the file is not a video, or has no face.
    """
    clip = read_clip(path, landmarker)
    with TemporaryDirectory(prefix="avatar-") as folder:
        still = Path(folder) / f"{path.stem}.png"
        write_picture(still, clip.picture)
        yield still, clip


def read_clip(path: Path, landmarker: Landmarker) -> Clip:
    """Analyse a clip. Raises PhotoError if it is not a video or has no face."""
    rows: list[FloatArray] = []
    sharpness: list[float] = []
    last: FloatArray | None = None
    try:
        for number, picture in enumerate(pictures(path)):
            if number % STEP == 0:
                last = _face(picture, landmarker, last)
                rows.append(np.full((POINTS, 3), np.nan, np.float32) if last is None else last)
                sharpness.append(0.0 if last is None else _sharpness(picture, last))
        points = np.stack(rows)
        best = STEP * choose(points, np.array(sharpness))
        chosen = next(picture for number, picture in enumerate(pictures(path)) if number == best)
    except MediaError as error:
        raise PhotoError(str(error)) from None
    except ValueError:
        raise PhotoError(f"{path}: no human face found in any of its pictures") from None
    return Clip(chosen, best / FPS, points)


def _face(picture: ByteArray, landmarker: Landmarker, before: FloatArray | None) -> FloatArray | None:
    """Return the face tracked so far, or else the largest one: [478, 3]."""
    followed = None if before is None else landmarker.follow(picture, before)
    if followed is not None:
        return followed
    faces = landmarker.find(picture)
    return faces[0].points if faces else None


def choose(points: FloatArray, sharpness: np.ndarray[tuple[int], np.dtype[np.float64]]) -> int:
    """Return the index of the best portrait among faces [n, 478, 3], NaN without a face; ties go to the first.

    Raises:
        ValueError: there is no face.
    """
    seen = np.isfinite(points[:, 0, 0])
    if not seen.any():
        raise ValueError("no face")
    angles = np.array([head_angles(face)[:2] for face in points])
    away = np.abs(angles - (0, np.nanmedian(angles[:, 1])))  # pitch relative to the camera's usual angle
    mouth, eyes = (
        _ratio(points, 13, 14, 61, 291),
        _ratio(points, 159, 145, 33, 133) + _ratio(points, 386, 374, 362, 263),
    )
    penalty = away.sum(axis=1) / TURNED + mouth / OPEN
    penalty += np.maximum(1 - eyes / np.nanpercentile(eyes, 90), 0) / LOWERED
    penalty += (1 - sharpness / max(sharpness.max(), 1e-6)) / BLURRED
    return int(np.nanargmin(np.where(seen, penalty, np.nan)))


def _ratio(points: FloatArray, upper: int, lower: int, one: int, other: int) -> FloatArray:
    height = np.linalg.norm(points[:, upper, :2] - points[:, lower, :2], axis=1)
    return np.asarray(height / np.linalg.norm(points[:, one, :2] - points[:, other, :2], axis=1), np.float32)


def _sharpness(picture: ByteArray, points: FloatArray) -> float:
    """Return the variance of the Laplacian over the face, scaled to a common size."""
    edges = points[list(_FACE), :2]
    (left, top), (right, bottom) = np.maximum(edges.min(axis=0), 0).astype(int), edges.max(axis=0).astype(int)
    part = picture[top : bottom + 1, left : right + 1]
    if part.size == 0:
        return 0.0
    grey = cv2.cvtColor(cv2.resize(part, (192, 192), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())
