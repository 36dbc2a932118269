"""Draws the pictures of a video, measures stage times and checks the output paths."""

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
        """Record that `stage` took `seconds` for `frames` frames."""
        self.samples.setdefault(stage, []).extend([1000 * seconds / frames] * frames)

    def lines(self) -> list[str]:
        """Return one line per stage: mean and 95th percentile."""
        return [
            f"{stage:12s} mean {np.mean(values):6.1f} ms  p95 {np.percentile(values, 95):6.1f} ms"
            for stage, values in self.samples.items()
        ]


def check_outputs(video: Path, beside: Path | None, avatar: str | None, read: Sequence[Path | None]) -> None:
    """Check that the outputs can be written and do not overwrite an input.

    Raises:
        ConfigError, MediaError: a check failed.
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
    """Draws an avatar's frames as they are written: inside the whole photo if the avatar was made with it."""

    def __init__(self, engines: Engines, avatar: Avatar, face: FaceOptions, note: Callable[[str], None]) -> None:
        """note: called with a one-line remark for the user.

        Raises:
            ConfigError: a background is requested for a whole photo, which has no matte.
        """
        self._renderer = FaceRenderer(engines, avatar, face)
        size, photo = self._renderer.size, avatar.photo.shape[0]
        if remark := frame_size.note(photo, face.size, size):
            note(remark)
        self.size = self._renderer.shape[::-1]

    def draw(self, window: CoefficientWindow) -> ByteArray:
        """Draw a picture: uint8 [H, W, 3], or [H, W, 4] with transparency."""
        (frame,) = self._renderer.render([window])
        return frame.rgb


def draw(window: CoefficientWindow, pictures: Pictures, writer: VideoWriter, times: StageTimes) -> None:
    """Draw a picture, write it, and record the time of both steps."""
    start = time.perf_counter()
    picture = pictures.draw(window)
    drawn = time.perf_counter()
    writer.write(picture)
    times.add("picture", drawn - start)
    times.add("encoding", time.perf_counter() - drawn)
