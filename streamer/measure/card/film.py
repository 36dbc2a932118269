"""Landmarks of a sequence of pictures, from a video file or an avatar."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from streamer.core.errors import MediaError
from streamer.core.frames import ByteArray, FloatArray
from streamer.vision.landmarks import POINTS, shared_landmarker


@dataclass(frozen=True, eq=False)
class Film:
    """points: float32 [n, 478, 3] in pixels, NaN where no face was found. pictures: the kept pictures, by frame."""

    points: FloatArray
    pictures: dict[int, ByteArray]

    @property
    def found(self) -> float:
        """Share of the pictures in which a face was found."""
        return float(np.isfinite(self.points[:, 0, 0]).mean())


def watch(pictures: Iterable[ByteArray], keep: Iterable[int] = ()) -> Film:
    """Track the largest face through pictures; `keep` lists the frames whose pictures are kept."""
    landmarker, kept, wanted = shared_landmarker(), {}, set(keep)
    rows: list[FloatArray] = []
    last: FloatArray | None = None
    for number, picture in enumerate(pictures):
        last = landmarker.follow(picture, last) if last is not None else None
        if last is None and (faces := landmarker.find(picture)):
            last = faces[0].points
        rows.append(np.full((POINTS, 3), np.nan, np.float32) if last is None else last)
        if number in wanted:
            kept[number] = picture.copy()
    if not rows:
        raise MediaError("no picture to watch")
    return Film(np.stack(rows), kept)
