"""Replays a recorded performance: on the same avatar, with bit-identical pictures, or on another one."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

import numpy as np

from engines.manifest import Manifest
from streamer.audio.sound_file import Sound
from streamer.avatar.background import TRANSPARENT
from streamer.avatar.catalogue import list_avatars
from streamer.avatar.tuned_engines import open_engines
from streamer.core.console import remark, say, show
from streamer.core.errors import MediaError
from streamer.core.frames import Coefficients, CoefficientWindow, FloatArray
from streamer.core.options import FaceOptions
from streamer.core.rates import FPS
from streamer.core.system.signals import interruptible
from streamer.photo.prepare import named_or_photo
from streamer.pipeline import Avatar
from streamer.recording.performance import Performance
from streamer.recording.performance_file import open_performance
from streamer.render import video_file
from streamer.render.options import VideoOptions
from streamer.render.pictures import Pictures, StageTimes, check_outputs, draw
from streamer.render.progress import Progress
from streamer.render.video_file import VideoWriter
from streamer.stages import face_options
from streamer.stages.held_view import HeldView
from streamer.stages.lookahead import Lookahead
from streamer.stages.motion import MotionWindows
from streamer.stages.mouth_easing import MouthEasing, mouth_rows

AT_ONCE = 64  # rows converted to windows at a time


@dataclass(frozen=True, kw_only=True)
class ReplayOptions(VideoOptions):
    """Options of a replay. avatar: None is the recorded one.

    sound: replaces the recorded sound. face: `still` and the view can be set; None: as recorded.
    """

    performance: Path
    sound: Path | None = None


def replay_file(manifest: Manifest, options: ReplayOptions) -> None:
    """Make a video of a performance.

    Raises:
        AvatarError: the performance, the avatar, the engines or the output cannot be used; no partial file remains.
    """
    check_outputs(options.out, None, options.avatar, (options.performance, options.sound))
    video_file.check(options.out, options.face.background, options.sign)
    signer = options.signer()
    with open_performance(options.performance) as performance:
        performance.fits(manifest, options.performance)
        face = face_of(performance, options.face)
        face_options.check(manifest, face)
        sound = _sound(options, performance)
        name = options.avatar or _performer(manifest, performance)
        count = _count(performance, sound)
        times, progress = StageTimes(), Progress(count / FPS)
        show(f"loading the engines of family {manifest.family} ...")
        with (
            open_engines(manifest, options.threads, tell=remark) as engines,
            named_or_photo(engines, name, options.photo_mode, options.photo_face, remark) as avatar,
        ):
            pictures = Pictures(engines, avatar, face, remark)
            if sound is None:
                remark(f"{options.performance} holds no sound; the video is silent (--sound gives it one)")
            progress.start()
            clear = face.background == TRANSPARENT
            with (
                interruptible() as check_interrupt,
                VideoWriter(options.out, pictures.size, sound, clear, signer) as writer,
            ):
                for window in filled(windows(manifest, avatar, performance, face), count):
                    check_interrupt()
                    draw(window, pictures, writer, times)
                    progress.show(writer.count)
            progress.end(writer.count)
    if options.stats:
        say("\n".join(times.lines()), sys.stderr)


def face_of(performance: Performance, asked: FaceOptions) -> FaceOptions:
    """Return the face options of a replay: the requested view, or else the recorded one."""
    yaw, pitch, roll = performance.about.view
    return replace(
        asked,
        yaw=yaw if asked.yaw is None else asked.yaw,
        pitch=pitch if asked.pitch is None else asked.pitch,
        roll=roll if asked.roll is None else asked.roll,
    )


def windows(
    manifest: Manifest, avatar: Avatar, performance: Performance, face: FaceOptions
) -> Iterator[CoefficientWindow]:
    """Yield the windows that the recorded pictures were drawn from, as a stream with the same look-ahead makes them.

    Raises:
        ConfigError: the family does not support the view.
    """
    about = performance.about
    dial = None if about.lookahead_ms is None else min(about.lookahead_ms, manifest.lookahead_ms)
    context, future = manifest.stage(avatar.motion_stage).context, Lookahead.of(manifest, dial).future
    view = HeldView.of(manifest, face)
    easing = MouthEasing(performance.rest, mouth_rows(about.expression_names))
    pose = avatar.rest_pose(len(about.pose_names)) if face.still else None
    for rows in performance.runs():
        made = MotionWindows(context, future, about.expression_names)
        for start in range(rows.start, rows.stop, AT_ONCE):
            part = slice(start, min(start + AT_ONCE, rows.stop))
            ready = made.push(_coefficients(performance, part, start - rows.start, pose))
            if part.stop == rows.stop:
                ready += made.flush()
            for window in view.hold(ready):
                row = rows.start + window.index
                eased = easing.shut_by(window, performance.freedom[row])
                yield replace(eased, index=int(performance.index[row]))


def filled(windows: Iterator[CoefficientWindow], count: int) -> Iterator[CoefficientWindow]:
    """Yield windows of frames 0 to `count` - 1; a missing one repeats the one before it, or else the first one."""
    current = next(windows)
    later = next(windows, None)
    for frame in range(count):
        while later is not None and later.index <= frame:
            current, later = later, next(windows, None)
        yield replace(current, index=frame)


def _performer(manifest: Manifest, performance: Performance) -> str | None:
    """Return the recorded avatar's name if it is installed, else None for the default."""
    name = performance.about.avatar
    return name if name in list_avatars(manifest) else None


def _coefficients(performance: Performance, rows: slice, first: int, pose: FloatArray | None) -> list[Coefficients]:
    """Return these rows as frames numbered from `first`."""
    expressions = np.asarray(performance.expression[rows])
    poses = np.asarray(performance.pose[rows]) if pose is None else np.tile(pose, (len(expressions), 1))
    return [Coefficients(first + i, *both) for i, both in enumerate(zip(expressions, poses, strict=True))]


def _sound(options: ReplayOptions, performance: Performance) -> Sound | None:
    """Return the requested sound, or the recorded one, or None.

    Raises MediaError if it cannot be decoded; for recorded sound the message names the recording, not the unpacked
    file.
    """
    path = options.sound or performance.sound
    if path is None:
        return None
    try:
        sound = Sound(path, options.track, remark)
        with contextlib.closing(sound.mono()) as chunks:
            next(chunks)
    except MediaError:
        if options.sound is not None:
            raise
        raise MediaError(f"{options.performance}: its sound is damaged; give it another with --sound") from None
    return sound


def _count(performance: Performance, sound: Sound | None) -> int:
    """Return the number of frames to play: the length of the sound, if known.

    A recording holds more frames than were shown, because of the look-ahead.
    """
    if sound is None or sound.seconds is None:
        return int(performance.index[-1]) + 1
    return max(1, ceil(round(sound.seconds * FPS, 3)))
