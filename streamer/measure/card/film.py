"""Films as pictures and landmarks: from a video file, or from the pictures of an avatar, on the grid of 25 a second."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from streamer.core.errors import MediaError
from streamer.core.frames import ByteArray, FloatArray
from streamer.core.rates import FPS
from streamer.vision.landmarks import POINTS, shared_landmarker

LARGEST = 1920  # pixels a side: a clip that is larger is refused


@dataclass(frozen=True, eq=False)
class Film:
    """points: float32 [n, 478, 3] in pixels, NaN where no face was found. pictures: those that were kept, by frame."""

    points: FloatArray
    pictures: dict[int, ByteArray]

    @property
    def found(self) -> float:
        """Share of the pictures in which there was a face."""
        return float(np.isfinite(self.points[:, 0, 0]).mean())


def clip_pictures(path: Path, most_s: float) -> Iterator[ByteArray]:
    """The pictures [H, W, 3] of a video file at FPS, each as the last that was due; at most `most_s` seconds.

    Raises:
        MediaError: no video in it, or one that is too large.
    """
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise MediaError(f"{path}: no video in it")
            stream = container.streams.video[0]
            if max(stream.width, stream.height) > LARGEST:
                raise MediaError(f"{path}: {stream.width}x{stream.height}, at most {LARGEST} a side")
            due, shown = 0, None
            for number, frame in enumerate(container.decode(stream)):
                at = frame.time if frame.time is not None else number / float(stream.average_rate or FPS)
                while shown is not None and due / FPS < at - 1e-6:
                    if due >= most_s * FPS:
                        return
                    yield shown
                    due += 1
                shown = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            if shown is not None and due < most_s * FPS:
                yield shown
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError(f"{path}: not a video that can be read ({error})") from error


def watch(pictures: Iterable[ByteArray], keep: Iterable[int] = ()) -> Film:
    """Follow the largest face through pictures; `keep` names frames whose pictures are kept."""
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
