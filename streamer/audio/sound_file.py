"""Decoding of audio files through PyAV: any format it reads, also from a pipe. Each defect is reported in one line."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import av
import numpy as np
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from engines.errors import first_line
from streamer.audio.format import CHANNELS, RATE, Samples
from streamer.audio.mono import MonoMix
from streamer.audio.ogg_links import FileSpan, link_starts
from streamer.audio.piped import Piped, Say, is_pipe
from streamer.audio.track import PYAV_ERRORS, Course, Part, parts
from streamer.core.console import note
from streamer.core.errors import MediaError
from streamer.core.frames import FloatArray
from streamer.core.rates import SAMPLE_RATE

Sample = TypeVar("Sample", np.int16, np.float32)

CHUNK_S = 0.5  # approximate length of a decoded chunk
SILENT = 10 ** (-50 / 20)  # a track whose peak stays below this counts as silent
SHORT_S = 0.2  # a file shorter than announced by more than this is reported; codecs pad by a packet or two
OGG_TAIL = 128 << 10  # bytes; a page has at most 65,307
MP3_HEAD = 1 << 20  # bytes, including cover pictures
ESTIMATED = ("aac", "ac3", "eac3", "amr", "dts", "loas", "mpegts")  # containers that do not state their length
_DURATION = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")


class Sound:
    """Decodable audio file with a chosen track. Its defects are reported once, by the first reader.

    seconds: length of that track as stated by the file, or None; track: counted from 1.
    """

    def __init__(self, path: Path, track: int | None = None, say: Say = note) -> None:
        """Open a file, or a FIFO or pipe, which is read to its end. track: None selects the first that is not silent.

        Raises:
            MediaError: the file is missing, is not a media file, or has no audio or no such track.
        """
        self.path = path
        self._say: Say | None = say
        self._piped = Piped(path, say) if is_pipe(path) else None
        self._file = self._piped.path if self._piped else path
        self._links = [0]
        with self._opened() as container:
            self.track = self._chosen(container, track)
            self.seconds = _announced(container, self.track - 1)
            self._broken_off = container.format.name == "ogg" and not _ends_whole(self._file)
            self._complete = _knows_its_length(self._file, container, self.track - 1)
            if container.format.name == "ogg":
                with self._file.open("rb") as content:
                    self._links = link_starts(content)
        if len(self._links) > 1 and self.seconds is not None:
            self.seconds = None  # FFmpeg's value is for the first link, or a guess

    def is_at(self, path: Path) -> bool:
        """Return whether the audio comes from that file."""
        return path.exists() and path.samefile(self.path)

    def mono(self) -> Generator[FloatArray]:
        """Return chunks of 16 kHz mono: float32 [n] in -1..1. Raises MediaError if nothing can be decoded."""
        frames = _resampled(_mixed(self._parts()), "flt", "mono", SAMPLE_RATE)
        return _chunks((np.asarray(frame.to_ndarray()[0], np.float32) for frame in frames), SAMPLE_RATE)

    def stereo(self) -> Generator[Samples]:
        """Return chunks of stereo in WebRTC's format: int16 [n, 2] at `format.RATE`. Raises MediaError like `mono`."""
        frames = self.frames("s16", RATE)
        return _chunks((np.asarray(frame.to_ndarray(), np.int16).reshape(-1, CHANNELS) for frame in frames), RATE)

    def frames(self, form: str, rate: int) -> Iterator[av.AudioFrame]:
        """Return stereo frames in FFmpeg's sample format `form`, for an encoder. Raises MediaError like `mono`."""
        return _resampled(((part.rate, part.samples.T) for part in self._parts()), form, "stereo", rate)

    def _parts(self) -> Iterator[Part]:
        course = Course()
        for start, end in zip(self._links, [*self._links[1:], None], strict=True):
            with self._opened(start, end) as container:
                yield from parts(container, min(self.track, len(container.streams.audio)) - 1, course)
        if not course.sounding:
            because = f"cannot be decoded ({course.reason})" if course.reason else "is empty"
            raise MediaError(f"{self.path}: its sound {because}")
        say, self._say = self._say, None
        if say is not None:
            for line in self._remarks(course):
                say(f"{self.path}: {line}")

    def _remarks(self, course: Course) -> Iterator[str]:
        """Yield a line for each defect: damage, gaps, missing audio, silence."""
        short = 0.0 if self.seconds is None or not self._complete else self.seconds - course.seconds
        silence = sum(length for _, length in course.gaps)
        lost = (
            f"; {silence:.2f} s of silence {'stand' if silence > 1 else 'stands'} for what is lost" if silence else ""
        )
        if course.damaged:
            more = f" and {len(course.damaged) - 1} times after" if len(course.damaged) > 1 else ""
            yield f"damaged at {course.damaged[0]:.2f} s{more}{lost}"
        elif course.gaps:
            where, length = course.gaps[0]
            more = f" and {len(course.gaps) - 1} times after" if len(course.gaps) > 1 else ""
            yield f"holds no sound from {where:.2f} to {where + length:.2f} s{more}; it is silent there"
        if short > SHORT_S:
            yield f"announces {self.seconds:.2f} s of sound; only {course.seconds:.2f} s could be read"
        elif self._broken_off:
            yield f"breaks off: it ends at {course.seconds:.2f} s without an end mark"
        if course.peak < SILENT:
            yield "its sound is silent; the lips will not move"

    @contextlib.contextmanager
    def _opened(self, start: int = 0, end: int | None = None) -> Iterator[av.container.InputContainer]:
        path, file = self.path, self._file
        if not file.is_file():
            raise MediaError(f"{path}: {'is a folder; expected a file' if file.is_dir() else 'no such file'}")
        if not file.stat().st_size:
            raise MediaError(f"{path}: not a sound or video file: it is empty")
        try:
            # Opened here, so that a playlist cannot make the decoder open other files or the network.
            content = FileSpan(file, start, end)
        except OSError as error:
            raise MediaError(f"{path}: cannot be read ({error.strerror})") from None
        with content:
            try:
                container = av.open(content, "r")
            except PYAV_ERRORS as error:  # including OSError: a seek before a short file's start
                raise MediaError(f"{path}: not a sound or video file that can be read ({first_line(error)})") from None
            with container:
                if not container.streams.audio:
                    raise MediaError(f"{path}: holds no sound; expected an audio file, or a video with sound")
                yield container

    def _chosen(self, container: av.container.InputContainer, asked: int | None) -> int:
        """Return the number of the track to use, from 1. Raises MediaError."""
        count = len(container.streams.audio)
        if asked is not None and asked > count:
            raise MediaError(f"{self.path}: track {asked} is asked for; it holds {count} of sound")
        chosen = asked or (1 if count == 1 else self._first_with_sound(count))
        if container.streams.audio[chosen - 1].codec_context is None:
            raise MediaError(f"{self.path}: its sound is of a kind that cannot be decoded")
        if asked is None and count > 1 and self._say is not None:
            why = ", the first that is not silent," if chosen > 1 else ""
            self._say(f"{self.path}: holds {count} tracks of sound; track {chosen}{why} is used (--track N: another)")
        return chosen

    def _first_with_sound(self, count: int) -> int:
        """Decode the tracks in order and return the first that is not silent, or 1 if all are silent."""
        for index in range(count):
            course = Course()
            with self._opened() as container:
                if container.streams.audio[index].codec_context is None:
                    continue
                for _ in parts(container, index, course):
                    if course.peak >= SILENT:
                        return index + 1
        return 1


def probe_sound(path: Path, track: int | None = None) -> Sound:
    """Open a file and check that it has audio. Raises MediaError as `Sound` does."""
    return Sound(path, track)


def read_sound(path: Path) -> Generator[FloatArray]:
    """Decode a file's audio to 16 kHz mono: `Sound.mono`. Raises MediaError as `Sound` does."""
    yield from Sound(path).mono()


def read_stereo(path: Path) -> Generator[Samples]:
    """Decode a file's audio to 48 kHz stereo: `Sound.stereo`. Raises MediaError as `Sound` does."""
    yield from Sound(path).stereo()


def _mixed(track: Iterable[Part]) -> Iterator[tuple[int, FloatArray]]:
    mix, rate = MonoMix(SAMPLE_RATE), 0
    for part in track:
        if part.rate != rate:
            mix, rate = MonoMix(part.rate), part.rate
        yield part.rate, mix.push(part.samples)[None]


def _resampled(track: Iterable[tuple[int, FloatArray]], form: str, layout: str, wanted: int) -> Iterator[av.AudioFrame]:
    """Resample planes float32 [channels, n] of any rate to frames of the wanted rate; restart when the rate changes."""
    resampler, at = AudioResampler(format=form, layout=layout, rate=wanted), 0
    for rate, planes in track:
        if rate != at:
            if at:
                yield from resampler.resample(None)
            resampler, at = AudioResampler(format=form, layout=layout, rate=wanted), rate
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(planes), format="fltp", layout=layout)
        frame.sample_rate = rate
        yield from resampler.resample(frame)
    yield from resampler.resample(None)


def _chunks(pieces: Iterable[NDArray[Sample]], rate: int) -> Generator[NDArray[Sample]]:
    waiting: list[NDArray[Sample]] = []
    for piece in pieces:
        waiting.append(piece)
        if sum(map(len, waiting)) >= CHUNK_S * rate:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)


def _announced(container: av.container.InputContainer, index: int) -> float | None:
    """Return the length of an audio track in seconds as stated by the file, or None."""
    stream = container.streams.audio[index]
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if tag := _DURATION.match(stream.metadata.get("DURATION", "")):  # Matroska's tag, written after recording
        return 3600 * int(tag[1]) + 60 * int(tag[2]) + float(tag[3])
    return container.duration / av.time_base if container.duration else None


def _knows_its_length(file: Path, container: av.container.InputContainer, index: int) -> bool:
    """Return whether `_announced` is stated in the file for this track, and not an estimate from the bit rate."""
    stream = container.streams.audio[index]
    if container.format.name == "mp3":
        with file.open("rb") as content:
            start = content.read(MP3_HEAD)
        return any(mark in start for mark in (b"Xing", b"Info", b"VBRI"))
    if container.format.name in ESTIMATED:
        return False
    return stream.duration is not None or "DURATION" in stream.metadata or len(container.streams) == 1


def _ends_whole(ogg: Path) -> bool:
    """Return whether an Ogg file's last page has the end-of-stream flag (RFC 3533, section 6)."""
    with ogg.open("rb") as content:
        content.seek(max(0, ogg.stat().st_size - OGG_TAIL))
        tail = content.read(OGG_TAIL)
    page = tail.rfind(b"OggS")
    return 0 <= page < len(tail) - 5 and bool(tail[page + 5] & 4)
