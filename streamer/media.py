"""Sound files in, video files out, through PyAV: any format it reads; `video_file`'s it writes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import av
import numpy as np
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from streamer.config import FPS, SAMPLE_RATE
from streamer.errors import MediaError
from streamer.frames import ByteArray, FloatArray
from streamer.timeline import CHANNELS, RATE, Samples
from streamer.video_file import format_of

Sample = TypeVar("Sample", np.int16, np.float32)

CHUNK_SAMPLES = SAMPLE_RATE // 2  # about so many samples are decoded at a time
AUDIO_RATE = 48_000
AUDIO_BIT_RATE = 160_000


@dataclass(frozen=True)
class SoundInfo:
    """A sound file that can be decoded; `seconds` is None where the file does not say."""

    path: Path
    seconds: float | None


def check_output(path: Path) -> None:
    """Whether a file may come to lie at `path`, before work is put into it. Raises MediaError."""
    if not path.absolute().parent.is_dir():
        raise MediaError(f"{path}: there is no folder {path.parent}")
    if path.is_dir():
        raise MediaError(f"{path}: is a folder; expected the name of a file")


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


class VideoWriter:
    """Writes frames and a sound file's own sound (or none) into a video, under a temporary name until `close`.

    Use as a context manager: leaving it by an exception removes the unfinished file.
    """

    def __init__(self, path: Path, size: tuple[int, int], sound: Path | None, transparent: bool = False) -> None:
        """`size` is (width, height) in pixels, even. transparent: frames are RGBA, for a kind of file that takes that.

        Raises:
            ConfigError: the name is of no kind of file that is written.
            MediaError: the file cannot be made.
        """
        self._kind = format_of(path)
        self._clear = self._kind.clear if transparent else None
        if sound is not None and path.exists() and path.samefile(sound):
            raise MediaError(f"{path}: is the sound to be rendered; choose another name for the video")
        self._path = path
        self._partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
        self._open_files = contextlib.ExitStack()
        self.count = 0  # frames written
        try:
            self._open(size, sound)
        except BaseException:  # an interrupt, too
            self.abandon()
            raise

    def _open(self, size: tuple[int, int], sound: Path | None) -> None:
        with self._written():
            self._partial.touch()  # PyAV would find out only at the first packet
            self._container = av.open(str(self._partial), "w", options=dict(self._kind.container))
        self._open_files.callback(self._container.close)
        stream = self._container.add_stream(self._kind.video, rate=FPS, options=dict(self._kind.quality))
        assert isinstance(stream, av.VideoStream)
        self._video = stream
        self._video.width, self._video.height = size
        self._video.pix_fmt = self._clear or self._kind.pixels
        self._video.time_base = Fraction(1, FPS)
        if self._clear:
            self._video.metadata["alpha_mode"] = "1"  # WebM's players look for it
        self._sound = None
        if sound is not None:
            source = self._open_files.enter_context(_SoundFile(sound))
            self._sound = _SoundCopy(source, self._container, self._kind.sound)

    def write(self, rgb: ByteArray) -> None:
        """Append a frame, uint8 [height, width, 3], or 4 where it is transparent, and the sound that goes with it."""
        frame = av.VideoFrame.from_ndarray(rgb, format="rgba" if self._clear else "rgb24")
        frame.pts = self.count
        frame.time_base = Fraction(1, FPS)
        with self._written():
            self._container.mux(self._video.encode(frame))
            self.count += 1
            if self._sound is not None:
                self._sound.copy_until(self.count / FPS)

    def close(self) -> None:
        """Finish the file and give it its name."""
        with self._written():
            self._container.mux(self._video.encode(None))
            if self._sound is not None:
                self._sound.finish(self.count / FPS)
            self._open_files.close()
            self._partial.replace(self._path)

    def abandon(self) -> None:
        """Remove the unfinished file."""
        with contextlib.suppress(av.error.FFmpegError):
            self._open_files.close()
        with contextlib.suppress(OSError):
            self._partial.unlink()

    @contextlib.contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except (av.error.FFmpegError, OSError) as error:
            raise MediaError(f"{self._path}: cannot be written ({_reason(error)})") from None

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.close()
        finally:
            if self._partial.exists():
                self.abandon()


class _SoundCopy:
    """Transcodes a file's sound into an open container, as far as the pictures have come."""

    def __init__(self, sound: _SoundFile, output: av.container.OutputContainer, codec: str) -> None:
        self._output = output
        self._frames = sound.frames()
        stream = output.add_stream(codec, rate=AUDIO_RATE, layout="stereo")
        assert isinstance(stream, av.AudioStream)
        self._stream = stream
        self._stream.bit_rate = AUDIO_BIT_RATE
        self._resampler = AudioResampler(format="fltp", layout="stereo", rate=AUDIO_RATE)
        self._seconds = 0.0

    def copy_until(self, seconds: float) -> None:
        while self._seconds < seconds and (frame := next(self._frames, None)) is not None:
            self._encode(frame)

    def finish(self, seconds: float) -> None:
        self.copy_until(seconds)
        self._encode(None)
        self._output.mux(self._stream.encode(None))

    def _encode(self, frame: av.AudioFrame | None) -> None:
        for part in self._resampler.resample(frame):
            # Timestamps by count: pictures are counted in decoded samples too, so a gap must not part them.
            part.pts = round(self._seconds * AUDIO_RATE)
            part.time_base = Fraction(1, AUDIO_RATE)
            self._seconds += part.samples / AUDIO_RATE
            self._output.mux(self._stream.encode(part))
