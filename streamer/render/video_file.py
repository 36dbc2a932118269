"""Writes the video files of `avatar render`; the suffix of the name selects the format."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av

from engines.errors import first_line
from engines.files import partial_path, replacing
from streamer.audio.format import RATE
from streamer.audio.sound_file import Sound
from streamer.avatar.background import refuse_transparent
from streamer.core.disclosure import COMMENT
from streamer.core.errors import ConfigError, MediaError
from streamer.core.frames import ByteArray
from streamer.core.rates import FPS
from streamer.output import colour
from streamer.render.content_credentials import Signer, check_kind

AUDIO_BIT_RATE = 160_000


class VideoWriter:
    """Writes frames and a sound file's own sound (or none) into a video, under a temporary name until `close`.

    Use as a context manager: leaving it by an exception removes the unfinished file.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        sound: Sound | None,
        transparent: bool = False,
        signer: Signer | None = None,
    ) -> None:
        """size: (width, height) in pixels, even. transparent: frames are RGBA; the format must support it.
        signer: signs the finished file.

        Raises:
            ConfigError: the name's suffix is not that of a supported format.
            MediaError: the file cannot be created.
        """
        self._kind = format_of(path)
        self._clear = self._kind.clear if transparent else None
        if sound is not None and sound.is_at(path):
            raise MediaError(f"{path}: is the sound to be rendered; choose another name for the video")
        self._path = path
        self._signer = signer
        self._partial = partial_path(path)
        self._open_files = contextlib.ExitStack()
        self.count = 0  # frames written
        try:
            self._open(size, sound)
        except BaseException:  # including an interrupt
            self.abandon()
            raise

    def _open(self, size: tuple[int, int], sound: Sound | None) -> None:
        with self._written():
            self._partial.touch()  # fails now; PyAV would report it only at the first packet
            self._container = av.open(f"file:{self._partial}", "w", options=dict(self._kind.container))
        self._open_files.callback(self._container.close)
        self._container.metadata["comment"] = COMMENT
        stream = self._container.add_stream(self._kind.video, rate=FPS, options=dict(self._kind.quality))
        assert isinstance(stream, av.VideoStream)
        self._video = stream
        self._video.width, self._video.height = size
        self._video.pix_fmt = self._clear or self._kind.pixels
        self._video.time_base = Fraction(1, FPS)
        colour.mark(self._video)
        if self._clear:
            self._video.metadata["alpha_mode"] = "1"  # WebM players check for it
        self._sound = None
        if sound is not None:
            self._sound = _SoundCopy(sound, self._container, self._kind.sound)

    def write(self, rgb: ByteArray) -> None:
        """Append a frame, uint8 [height, width, 3], or 4 channels if transparent, and the sound up to its end."""
        frame = colour.converted(rgb, self._clear or self._kind.pixels)
        frame.pts = self.count
        frame.time_base = Fraction(1, FPS)
        with self._written():
            self._container.mux(self._video.encode(frame))
            self.count += 1
            if self._sound is not None:
                self._sound.copy_until(self.count / FPS)

    def close(self) -> None:
        """Finish the file, sign it if requested, and move it to its final name."""
        with self._written():
            self._container.mux(self._video.encode(None))
            if self._sound is not None:
                self._sound.finish(self.count / FPS)
            self._open_files.close()
        if self._signer is not None:
            with replacing(self._partial) as signed:
                self._signer.sign(self._partial, signed, self._path.name)
        with self._written():
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
        except (av.error.FFmpegError, OSError, UnicodeError) as error:  # UnicodeError: the name is not valid text
            raise MediaError(f"{self._path}: cannot be written ({first_line(error)})") from None

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
    """Transcodes a file's sound into an open container, up to the end of the pictures written so far."""

    def __init__(self, sound: Sound, output: av.container.OutputContainer, codec: str) -> None:
        self._output = output
        stream = output.add_stream(codec, rate=RATE, layout="stereo")
        assert isinstance(stream, av.AudioStream)
        self._stream = stream
        self._stream.bit_rate = AUDIO_BIT_RATE
        self._frames = sound.frames("fltp", RATE)
        self._samples = 0

    def copy_until(self, seconds: float) -> None:
        while self._samples < seconds * RATE and (frame := next(self._frames, None)) is not None:
            frame.pts, frame.time_base = self._samples, Fraction(1, RATE)
            self._samples += frame.samples
            self._output.mux(self._stream.encode(frame))

    def finish(self, seconds: float) -> None:
        self.copy_until(seconds)
        self._output.mux(self._stream.encode(None))


@dataclass(frozen=True)
class VideoFormat:
    """Codecs and pixel formats by their FFmpeg names. clear: pixel format with transparency, None if unsupported.

    container: options of the container; quality: options of the video codec.
    """

    name: str
    video: str
    pixels: str
    sound: str
    clear: str | None = None
    container: Mapping[str, str] = field(default_factory=dict)
    quality: Mapping[str, str] = field(default_factory=dict)


FORMATS = {
    ".mp4": VideoFormat("an MP4 file", "libx264", "yuv420p", "aac", None, {"movflags": "+faststart"}, {"crf": "18"}),
    # Alpha is a second VP9 stream; hidden frames (auto-alt-ref) have no alpha.
    ".webm": VideoFormat(
        "a WebM file",
        "libvpx-vp9",
        "yuv420p",
        "libopus",
        "yuva420p",
        quality={"crf": "24", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1", "auto-alt-ref": "0"},
    ),
    ".mov": VideoFormat("a QuickTime file", "prores_ks", "yuv444p10le", "pcm_s16le", "yuva444p10le"),
}


def format_of(path: Path) -> VideoFormat:
    """Return the format that the name's suffix selects. Raises ConfigError."""
    found = FORMATS.get(path.suffix.lower())
    if found is None:
        raise ConfigError(f"{path}: no video is written under such a name; expected it to end in {', '.join(FORMATS)}")
    return found


def check(path: Path, background: str | None, sign: bool = False) -> None:
    """Check that the format supports the background and, if requested, signing. Raises ConfigError."""
    if sign:
        check_kind(path)
    if (found := format_of(path)).clear is None:
        refuse_transparent(background, found.name)
