"""`avatar render` of a sound: runs the live pipeline on a file, as fast as the machine can."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.manifest import Manifest
from streamer.audio.sound_file import Sound
from streamer.avatar.background import TRANSPARENT
from streamer.avatar.tuned_engines import open_engines
from streamer.core.console import remark, say, show
from streamer.core.errors import ConfigError
from streamer.core.frames import CoefficientWindow, FloatArray
from streamer.core.options import PipelineOptions
from streamer.core.system.signals import interruptible
from streamer.photo.prepare import named_or_photo
from streamer.pipeline import CoefficientStream
from streamer.recording.performance import About, Performance
from streamer.recording.performance_file import save_performance
from streamer.render import video_file
from streamer.render.options import VideoOptions
from streamer.render.pictures import Pictures, StageTimes, check_outputs, draw
from streamer.render.progress import Progress
from streamer.render.reference_video import read_script
from streamer.render.video_file import VideoWriter
from streamer.stages import face_options


@dataclass(frozen=True, kw_only=True)
class RenderOptions(VideoOptions):
    """Options of `avatar render` for a sound."""

    audio: Path
    coefficients: Path | None = None
    lookahead_ms: int | None = None
    seed: int = 0
    reference_pose: Path | None = None
    reference_blink: Path | None = None


def render_file(manifest: Manifest, options: RenderOptions) -> None:
    """Render a sound file to a talking video.

    Raises:
        AvatarError: the sound, the avatar, the engines or the output cannot be used; no partial file remains.
    """
    sound = Sound(options.audio, options.track, remark)
    read = (options.audio, options.reference_pose, options.reference_blink)
    check_outputs(options.out, options.coefficients, options.avatar, read)
    video_file.check(options.out, options.face.background, options.sign)
    signer = options.signer()
    face = face_options.for_a_file(manifest, options.face)
    face_options.check(manifest, face)  # before the engines are loaded, which takes a while
    if face.still and options.reference_pose:
        raise ConfigError("a still head and a reference pose exclude each other")
    script = read_script(manifest, options.reference_pose, options.reference_blink, options.threads)
    times, progress = StageTimes(), Progress(sound.seconds)
    show(f"loading the engines of family {manifest.family} ...")
    with (
        open_engines(manifest, options.threads, tell=remark) as engines,
        named_or_photo(engines, options.avatar, options.photo_mode, options.photo_face, remark) as avatar,
    ):
        stream = CoefficientStream(engines, avatar, PipelineOptions(options.lookahead_ms, options.seed, face), script)
        pictures = Pictures(engines, avatar, face, remark)
        progress.start()
        recorded: list[FloatArray] = []
        past = manifest.stage(avatar.motion_stage).context[0]
        with (
            interruptible() as check_interrupt,
            VideoWriter(options.out, pictures.size, sound, face.background == TRANSPARENT, signer) as writer,
        ):
            for windows in _windows(sound, stream, times):
                if options.coefficients:
                    recorded += [window.values[:, past] for window in windows]
                for window in windows:
                    check_interrupt()
                    draw(window, pictures, writer, times)
                    progress.show(writer.count)
        progress.end(writer.count)
    if options.coefficients:
        about = About.of(manifest, avatar.name, options.lookahead_ms, face)
        save_performance(options.coefficients, Performance.plain(about, np.array(recorded, np.float32)))
    if options.stats:
        say("\n".join(times.lines()), sys.stderr)


def _windows(sound: Sound, stream: CoefficientStream, times: StageTimes) -> Iterator[list[CoefficientWindow]]:
    """Yield batches of coefficient windows as the file is decoded."""
    for chunk in sound.mono():
        start = time.perf_counter()
        windows = stream.push(chunk)
        if windows:
            times.add("sound", time.perf_counter() - start, len(windows))
        yield windows
    yield stream.flush()
