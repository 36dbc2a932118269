"""Sound files in, video files out, through PyAV: any format it reads; `video_file`'s it writes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import av
import numpy as np
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from streamer.audio.format import CHANNELS, RATE, Samples
from streamer.core.errors import MediaError
from streamer.core.frames import FloatArray
from streamer.core.rates import SAMPLE_RATE

Sample = TypeVar("Sample", np.int16, np.float32)

CHUNK_SAMPLES = SAMPLE_RATE // 2  # about so many samples are decoded at a time


@dataclass(frozen=True)
class SoundInfo:
    """A sound file that can be decoded; `seconds` is None where the file does not say."""

    path: Path
    seconds: float | None


def probe_sound(path: Path) -> SoundInfo:
    """Look whether a file holds sound.

    Raises:
        MediaError: no such file, not a media file, or no sound in it.
    """
    with _SoundFile(path) as sound:
        stream, whole = sound.container.streams.audio[0], sound.container.duration
        if stream.duration is not None and stream.time_base is not None:
            return SoundInfo(path, float(stream.duration * stream.time_base))
        return SoundInfo(path, whole / av.time_base if whole else None)


def read_sound(path: Path) -> Generator[FloatArray]:
    """Decode a file's first sound track to 16 kHz mono, chunk by chunk: float32 [n] in -1..1.

    Raises:
        MediaError: as `probe_sound`, or when decoding fails before any sound came out.
    """
    resampler = AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    return _decoded(path, resampler, lambda part: np.asarray(part.to_ndarray()[0], np.float32))


def read_stereo(path: Path) -> Iterator[Samples]:
    """Decode a file's first sound track to what WebRTC speaks, chunk by chunk: int16 [n, 2] at `timeline.RATE`.

    Raises:
        MediaError: as `read_sound`.
    """
    resampler = AudioResampler(format="s16", layout="stereo", rate=RATE)
    return _decoded(path, resampler, lambda part: np.asarray(part.to_ndarray(), np.int16).reshape(-1, CHANNELS))


def _decoded(
    path: Path, resampler: AudioResampler, read: Callable[[av.AudioFrame], NDArray[Sample]]
) -> Generator[NDArray[Sample]]:
    waiting: list[NDArray[Sample]] = []
    heard = False
    with _SoundFile(path) as sound:
        for frame in sound.frames():
            waiting += [read(part) for part in resampler.resample(frame)]
            if sum(map(len, waiting)) >= CHUNK_SAMPLES:
                heard = True
                yield np.concatenate(waiting)
                waiting = []
        waiting += [read(part) for part in resampler.resample(None)]
    if waiting:
        heard = True
        yield np.concatenate(waiting)
    if not heard:
        raise MediaError(f"{path}: its sound track is empty")


class _SoundFile:
    """The first sound track of an open file; a context manager."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise MediaError(f"{path}: {'is a folder; expected a file' if path.is_dir() else 'no such file'}")
        if not path.stat().st_size:
            raise MediaError(f"{path}: not a sound or video file: it is empty")
        self._path = path
        try:
            # Opened here, so that a playlist cannot send the decoder to other files or to the network.
            self._file = path.open("rb")
        except OSError as error:
            raise MediaError(f"{path}: cannot be read ({error.strerror})") from None
        try:
            self.container = av.open(self._file, "r")
        except (av.error.FFmpegError, OSError, ValueError) as error:  # OSError: a seek before a short file's start
            self._file.close()
            raise MediaError(f"{path}: not a sound or video file that can be read ({_reason(error)})") from None
        if not self.container.streams.audio:
            self.close()
            raise MediaError(f"{path}: holds no sound; expected an audio file, or a video with sound")

    def frames(self) -> Iterator[av.AudioFrame]:
        """Frames until the end, or until the file breaks off: what came before a damaged part is still used."""
        decoded = self.container.decode(audio=0)
        count = 0
        while True:
            try:
                frame = next(decoded)
            except StopIteration:
                return
            except av.error.FFmpegError as error:
                if count == 0:
                    raise MediaError(f"{self._path}: its sound cannot be decoded ({_reason(error)})") from None
                return
            count += 1
            yield frame

    def close(self) -> None:
        self.container.close()
        self._file.close()

    def __enter__(self) -> _SoundFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).splitlines()[0]
