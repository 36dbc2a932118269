"""Pictures of a video file, resampled to FPS. File contents are untrusted and are checked first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from streamer.core.errors import MediaError
from streamer.core.frames import ByteArray
from streamer.core.rates import FPS

MOST_S = 60  # s of a video that are read; the rest is ignored
MOST_PIXELS = 4096 * 2304


def pictures(path: Path) -> Iterator[ByteArray]:
    """Yield the RGB pictures [H, W, 3] of a video at FPS, for at most MOST_S seconds.

    Raises:
        MediaError: the file is missing, has no video, has too large pictures, or cannot be decoded.
    """
    if not path.is_file():
        raise MediaError(f"{path}: no such file")
    count = 0
    try:
        # Opened here, so that a playlist cannot make the decoder open other files or the network.
        with path.open("rb") as file, av.open(file, "r") as container:
            if not container.streams.video:
                raise MediaError(f"{path}: holds no pictures; expected a video")
            for picture in _at_our_rate(path, container):
                yield picture
                count += 1
                if count >= MOST_S * FPS:
                    return
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (av.error.FFmpegError, ValueError) as error:
        if not count:
            raise MediaError(f"{path}: not a video that can be read ({error})") from None
    if not count:
        raise MediaError(f"{path}: holds no pictures")


def _at_our_rate(path: Path, container: av.container.InputContainer) -> Iterator[ByteArray]:
    """Yield, for each frame at FPS, the picture that the video shows at that time."""
    shown: ByteArray | None = None
    start = moment = 0.0
    count = 0
    for frame in container.decode(video=0):
        if frame.width * frame.height > MOST_PIXELS:
            raise MediaError(f"{path}: pictures of {frame.width}x{frame.height}; expected at most {MOST_PIXELS} pixels")
        moment = float(frame.time or 0.0)
        if shown is None:
            start = moment
        while shown is not None and start + count / FPS < moment - 1e-4:
            yield shown
            count += 1
        shown = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    if shown is not None and start + count / FPS < moment + 1e-4:
        yield shown
