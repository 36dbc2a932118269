"""`avatar render`: the live pipeline run on a file, as fast as the machine can."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import numpy as np

from engines.manifest import Manifest
from streamer import face_options, video_file
from streamer.avatar import PREPARING, is_photo
from streamer.background import TRANSPARENT
from streamer.config import FPS, PLAIN_FACE, FaceOptions, PipelineOptions
from streamer.errors import ConfigError
from streamer.frames import ByteArray, CoefficientWindow, FloatArray
from streamer.interrupt import interruptible
from streamer.media import VideoWriter, check_output, probe_sound, read_sound
from streamer.paste import PasteBack
from streamer.performance import About, Performance
from streamer.performance_file import save_performance
from streamer.pipeline import Avatar, CoefficientStream, Engines, FaceRenderer
from streamer.prepare import named_or_photo
from streamer.reference_video import read_script

PROGRESS_EVERY = 0.2  # seconds
BAR_WIDTH = 28


@dataclass(frozen=True)
class RenderOptions:
    """What `avatar render` was asked for. avatar: a name or a photo; photo_mode, photo_face: for a photo."""

    audio: Path
    out: Path
    avatar: str | None = None
    photo_mode: str | None = None
    photo_face: int | None = None
    coefficients: Path | None = None
    lookahead_ms: int | None = None
    seed: int = 0
    face: FaceOptions = PLAIN_FACE
    reference_pose: Path | None = None
    reference_blink: Path | None = None
    threads: int = 2
    stats: bool = False


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


class Progress:
    """A bar: how far, how fast, how long still. Only the last line where `stream` is not a terminal."""

    def __init__(self, seconds: float | None, stream: TextIO) -> None:
        self._total = None if seconds is None else max(1, round(seconds * FPS))
        self._stream = stream
        self._start = time.monotonic()
        self._shown = 0.0

    def wait(self, what: str) -> None:
        """Say what is being waited for, where someone watches; the bar takes its place."""
        if self._stream.isatty():
            print(f"\r{what} ...\033[K", end="", file=self._stream, flush=True)

    def start(self) -> None:
        """The first frame is about to be made."""
        self._start = time.monotonic()

    def show(self, frames: int, last: bool = False) -> None:
        """Draw the bar for so many frames done."""
        now = time.monotonic()
        if not self._stream.isatty() and not last:
            return
        if not last and now - self._shown < PROGRESS_EVERY:
            return
        self._shown = now
        speed = frames / max(now - self._start, 1e-6)
        text = f"{frames} frame{'s' * (frames != 1)}, {speed:.1f} a second, {speed / FPS:.2f} x real time"
        if self._total and not last:
            share = min(frames / self._total, 1.0)
            bar = "#" * round(share * BAR_WIDTH)
            left = max(0, self._total - frames) / max(speed, 1e-6)
            text = f"[{bar:<{BAR_WIDTH}}] {share:4.0%}  {text}, {left:.0f} s left"
        start = "\r" if self._stream.isatty() else ""
        print(f"{start}{text}\033[K" if start else text, end="\n" if last else "", file=self._stream, flush=True)


def render_file(manifest: Manifest, options: RenderOptions) -> None:
    """Render a sound file to a talking video.

    Raises:
        AvatarError: the sound, the avatar, the engines or the output cannot be used; nothing is half-written.
    """
    sound = probe_sound(options.audio)
    read = (options.audio, options.reference_pose, options.reference_blink)
    check_outputs(options.out, options.coefficients, options.avatar, read)
    video_file.check(options.out, options.face.background)
    face = face_options.for_a_file(manifest, options.face)
    face_options.check(manifest, face)  # before the engines are loaded, which takes a while
    if face.still and options.reference_pose:
        raise ConfigError("a still head and a reference pose exclude each other")
    script = read_script(manifest, options.reference_pose, options.reference_blink, options.threads)
    times, progress = StageTimes(), Progress(sound.seconds, sys.stderr)
    progress.wait(f"loading the engines of family {manifest.family}")
    with (
        Engines.open(manifest, threads=options.threads, without=PREPARING) as engines,
        named_or_photo(engines, options.avatar, options.photo_mode, options.photo_face, note) as avatar,
    ):
        stream = CoefficientStream(engines, avatar, PipelineOptions(options.lookahead_ms, options.seed, face), script)
        pictures = Pictures(engines, avatar, face.background)
        progress.start()
        recorded: list[FloatArray] = []
        past = manifest.stage(avatar.motion_stage).context[0]
        with (
            interruptible() as check_interrupt,
            VideoWriter(options.out, pictures.size, options.audio, face.background == TRANSPARENT) as writer,
        ):
            for windows in _windows(options.audio, stream, times):
                if options.coefficients:
                    recorded += [window.values[:, past] for window in windows]
                for window in windows:
                    check_interrupt()
                    draw(window, pictures, writer, times)
                    progress.show(writer.count)
        progress.show(writer.count, last=True)
    if options.coefficients:
        about = About.of(manifest, avatar.name, options.lookahead_ms, face)
        save_performance(options.coefficients, Performance.plain(about, np.array(recorded, np.float32)))
    if options.stats:
        print("\n".join(times.lines()), file=sys.stderr)


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


def _windows(audio: Path, stream: CoefficientStream, times: StageTimes) -> Iterator[list[CoefficientWindow]]:
    """Batches of coefficient windows as the file is decoded."""
    for chunk in read_sound(audio):
        start = time.perf_counter()
        windows = stream.push(chunk)
        if windows:
            times.add("sound", time.perf_counter() - start, len(windows))
        yield windows
    yield stream.flush()


class Pictures:
    """An avatar's frames as they are written: in the whole photo, where it was made with that."""

    def __init__(self, engines: Engines, avatar: Avatar, background: str | None) -> None:
        """Raises ConfigError for a background behind the whole photo, of which there is no matte."""
        self._paste = PasteBack.of(avatar)
        if self._paste and background is not None:
            raise ConfigError(f"a background is for pictures of the head; {avatar.name} shows the whole photo")
        self._renderer = FaceRenderer(engines, avatar).on(background)
        size = engines.manifest.size
        self.size = self._paste.size if self._paste else (size, size)

    def draw(self, window: CoefficientWindow) -> ByteArray:
        """[H, W, 3]."""
        (frame,) = self._renderer.render([window])
        return self._paste.paste(frame.rgb) if self._paste else frame.rgb


def note(text: str) -> None:
    """Say something on the way."""
    start = "\r\033[K" if sys.stderr.isatty() else ""  # in the place of what was being waited for
    print(f"{start}note: {text}", file=sys.stderr)


def draw(window: CoefficientWindow, pictures: Pictures, writer: VideoWriter, times: StageTimes) -> None:
    """Make a picture and write it."""
    start = time.perf_counter()
    picture = pictures.draw(window)
    drawn = time.perf_counter()
    writer.write(picture)
    times.add("picture", drawn - start)
    times.add("encoding", time.perf_counter() - drawn)
