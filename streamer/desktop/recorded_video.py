"""Records a session's video in addition to the sinks that show it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from streamer.audio.format import Samples
from streamer.avatar.background import TRANSPARENT, refuse_transparent
from streamer.core.errors import AvatarError, ConfigError
from streamer.core.frames import ByteArray
from streamer.core.letterbox import Fit
from streamer.desktop.ends import Ends
from streamer.output.destination import SUFFIXES, Destination
from streamer.output.muxed_output import MuxedOutput
from streamer.recording.recorder import check_target
from streamer.session.ends import PictureSink, SoundSink


class RecordedVideo:
    """Video file of a session; a context manager. A failure ends the file, with one line to `note`, not the session."""

    def __init__(self, path: Path, fit: Fit, background: str | None, note: Callable[[str], None]) -> None:
        """`background`: of the pictures, see `FaceOptions`.

        Raises:
            ConfigError: the name is not that of a video, the file exists, or this kind of video has no transparency.
            MediaError: the file cannot be created.
        """
        check_target(path, tuple(SUFFIXES))
        destination = Destination.parse(str(path))
        if not destination.alpha:
            refuse_transparent(background, str(path))
        self._note = note
        self._output = MuxedOutput(destination, fit, background == TRANSPARENT)
        self._ended = False

    def begin(self, delay_ms: int) -> None:
        """Start the session: the pictures and packets that follow belong to it, see `MuxedOutput.begin`."""
        self._output.begin(delay_ms)

    def show(self, frame: int, rgb: ByteArray) -> None:
        """Take a picture."""
        if not self._ended:
            try:
                self._output.show(frame, rgb)
            except AvatarError as error:
                self._ended = True
                self._note(f"{error}; the session goes on")

    def play(self, block: int, samples: Samples) -> None:
        """Take a packet of sound."""
        if not self._ended:
            self._output.play(block, samples)

    def __enter__(self) -> RecordedVideo:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._output.close()
        except AvatarError as failure:
            self._note(str(failure))
            return
        if dropped := self._output.stats.dropped:
            self._note(f"{dropped} pictures were too much for {self._output.name}")
        if not self._ended and self._output.seconds:
            self._note(f"recorded {self._output.name}: {self._output.seconds:.0f} s")


def refuse_same(path: Path, output: Destination) -> None:
    """Check that the output is not written to the same file. Raises ConfigError."""
    if output.path is not None and path.absolute() == output.path.absolute():
        raise ConfigError(f"{path}: is the file of --output already, which has pictures and sound; record to another")


def beside(ends: Ends, video: RecordedVideo | None) -> Ends:
    """Return sinks that also record to `video`; the same sinks if it is None."""
    if video is None:
        return ends

    def begin(delay_ms: int) -> None:
        ends.begin(delay_ms)
        video.begin(delay_ms)

    return replace(ends, pictures=_Pictures(video, ends.pictures), sound=_Sound(video, ends.sound), begin=begin)


class _Pictures:
    def __init__(self, video: RecordedVideo, sink: PictureSink) -> None:
        self._video = video
        self._sink = sink

    def show(self, frame: int, rgb: ByteArray) -> None:
        self._video.show(frame, rgb)
        self._sink.show(frame, rgb)


class _Sound:
    """Sends sound to a file and a device. The device may need it early; the file is timed by packet numbers."""

    def __init__(self, video: RecordedVideo, sink: SoundSink | None) -> None:
        self.lead_s = 0.0 if sink is None else sink.lead_s
        self._video = video
        self._sink = sink

    def play(self, block: int, samples: Samples) -> None:
        self._video.play(block, samples)
        if self._sink is not None:
            self._sink.play(block, samples)
