"""Drawing the pictures of a file: frames, stage times, checks of the outputs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from streamer.avatar import frame_size
from streamer.avatar.catalogue import is_photo
from streamer.core.errors import ConfigError
from streamer.core.files import check_output
from streamer.core.frames import ByteArray, CoefficientWindow
from streamer.core.options import FaceOptions
from streamer.pipeline import Avatar, Engines, FaceRenderer
from streamer.render import video_file
from streamer.render.video_file import VideoWriter


@dataclass
class StageTimes:
    """Milliseconds of every frame by stage; a batch's time is spread over its frames."""

    samples: dict[str, list[float]] = field(default_factory=dict)

    def add(self, stage: str, seconds: float, frames: int = 1) -> None:
        """Note that `stage` took so long for so many frames."""
        self.samples.setdefault(stage, []).extend([1000 * seconds / frames] * frames)

    def lines(self) -> list[str]:
        """Mean and 95th percentile of each stage."""
        return [
            f"{stage:12s} mean {np.mean(values):6.1f} ms  p95 {np.percentile(values, 95):6.1f} ms"
            for stage, values in self.samples.items()
        ]


def check_outputs(video: Path, beside: Path | None, avatar: str | None, read: Sequence[Path | None]) -> None:
    """Refuse what cannot be written, and what would be written over a file that is read.

    Raises:
        ConfigError, MediaError: it is one of these.
    """
    photo = Path(avatar) if avatar is not None and is_photo(avatar) else None
    taken = [path for path in (photo, *read) if path]
    for path in (video, beside):
        if path is None:
            continue
        check_output(path)
        if any(path.resolve() == other.resolve() for other in taken):
            raise ConfigError(f"{path}: is used already; choose another name for what is written")
        taken.append(path)
    video_file.format_of(video)


class Pictures:
    """An avatar's frames as they are written: in the whole photo, where it was made with that."""

    def __init__(self, engines: Engines, avatar: Avatar, face: FaceOptions, note: Callable[[str], None]) -> None:
        """note: takes a remark for the person in one line.

        Raises:
            ConfigError: a background behind the whole photo, of which there is no matte.
        """
        self._renderer = FaceRenderer(engines, avatar, face)
        size, photo = self._renderer.size, avatar.photo.shape[0]
        if remark := frame_size.note(photo, face.size, size):
            note(remark)
        self.size = self._renderer.shape[::-1]

    def draw(self, window: CoefficientWindow) -> ByteArray:
        """[H, W, 3]."""
        (frame,) = self._renderer.render([window])
        return frame.rgb


def draw(window: CoefficientWindow, pictures: Pictures, writer: VideoWriter, times: StageTimes) -> None:
    """Make a picture and write it."""
    start = time.perf_counter()
    picture = pictures.draw(window)
    drawn = time.perf_counter()
    writer.write(picture)
    times.add("picture", drawn - start)
    times.add("encoding", time.perf_counter() - drawn)
