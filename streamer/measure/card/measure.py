"""Measure one face saying one sound: render it, track its landmarks, compute the figures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from streamer.audio.loudness import FrameLoudness
from streamer.audio.sound_file import read_sound
from streamer.core.errors import MediaError
from streamer.core.frames import ByteArray, FloatArray
from streamer.core.options import FaceOptions, PipelineOptions
from streamer.core.rates import FPS, SAMPLE_RATE
from streamer.measure.card.film import Film, watch
from streamer.measure.card.likeness import Likeness, likeness
from streamer.measure.card.signals import Blinks, Follows, Signals, blinks, follows, jitter, signals, without_gaps
from streamer.measure.head_motion import HeadMotion
from streamer.measure.head_motion import measure as measure_head
from streamer.pipeline import Avatar, CoefficientStream, Engines, FaceRenderer
from streamer.stages.mel_windows import WindowShape, clip_windows
from streamer.vision.landmarks import shared_landmarker
from streamer.vision.lip_expert import SyncScore, shared_expert
from streamer.vision.lip_shapes import lip_shapes
from streamer.vision.video_pictures import pictures

KEPT = 24  # pictures of a film used for likeness
HEARD = WindowShape(32, 3, levelled=True)  # input of the lip expert
VIEWS = (-10.0, -5.0, 0.0, 5.0, 10.0)  # degrees of yaw to show


@dataclass(frozen=True, eq=False)
class Reference:
    """A sound, float32 [n] at SAMPLE_RATE, and, if it came from a clip with a person, the film of that person."""

    name: str
    sound: FloatArray
    person: Film | None = None

    @property
    def levels(self) -> list[float]:
        """Loudness of each frame in dBFS."""
        return FrameLoudness().push(self.sound)

    @classmethod
    def read(cls, path: Path, most_s: float) -> Reference:
        """Read a sound file, or a video with sound and track its face. Raises MediaError."""
        pieces = list(read_sound(path))
        sound = np.concatenate(pieces)[: round(most_s * SAMPLE_RATE)] if pieces else np.zeros(0, np.float32)
        if len(sound) < 4 * SAMPLE_RATE:
            raise MediaError(f"{path}: {len(sound) / SAMPLE_RATE:.1f} s of sound, at least 4 are needed to measure")
        try:
            person = watch(islice(pictures(path), round(most_s * FPS)))
        except MediaError:
            person = None  # it has sound (read above) but no pictures: a sound file
        return cls(path.name, sound, person if person is not None and person.found > 0.5 else None)


@dataclass(frozen=True)
class Row:
    """Figures of one face, an avatar's or a person's. follows: the mouth, compared with the person who spoke."""

    face: str
    sound: str
    found: float
    follows: Follows | None
    eyes: Blinks
    head: HeadMotion
    jitter: float
    sync: SyncScore
    likeness: Likeness | None = None
    milliseconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Speaker:
    """A row and its pictures: portrait, head at rest, mouth widest, head farthest; and the face turned to the VIEWS."""

    row: Row
    pictures: tuple[ByteArray, ...]
    views: tuple[ByteArray, ...]


def person(reference: Reference) -> Row | None:
    """Measure the person in a clip, as avatars are measured; None for a sound without a person."""
    if reference.person is None:
        return None
    seen = signals(reference.person.points)
    return _row("person", reference, reference.person, seen, None)


def speak(engines: Engines, avatar: Avatar, name: str, reference: Reference, seed: int = 0) -> Speaker:
    """Render an avatar saying a sound, at 256 pixels, and measure the pictures.

    Raises:
        ValueError: no face is found in the pictures.
    """
    times: dict[str, list[float]] = {}
    options = PipelineOptions(None, seed, FaceOptions(size=256))
    count = len(reference.sound) // (SAMPLE_RATE // FPS)
    kept = {int(frame) for frame in np.linspace(5, count - 1, KEPT)}
    shown: list[ByteArray] = []

    def watched() -> Iterator[ByteArray]:
        for picture in _pictures(engines, avatar, options, reference.sound, times):
            shown.append(picture)
            yield picture

    film = watch(watched(), kept)
    seen = signals(film.points)
    portrait = _portrait(avatar)
    rest = np.median(seen.head, axis=0) if portrait is None else signals(portrait[None]).head[0]
    away = np.linalg.norm(seen.head - rest, axis=1)
    alike = None if portrait is None else likeness(avatar.photo, portrait, film.pictures, film.points, away)
    milliseconds = {stage: round(1000 * float(np.median(values)), 1) for stage, values in times.items()}
    row = _row(name, reference, film, seen, alike, milliseconds)
    frames = (int(away.argmin()), int(seen.mouth.argmax()), int(away.argmax()))
    return Speaker(row, (_small(avatar.photo), *(_small(shown[i]) for i in frames)), _views(engines, avatar))


def _row(
    face: str,
    reference: Reference,
    film: Film,
    seen: Signals,
    alike: Likeness | None,
    milliseconds: dict[str, float] | None = None,
) -> Row:
    points = without_gaps(film.points)
    theirs = signals(reference.person.points).mouth if reference.person is not None and face != "person" else None
    return Row(
        face,
        reference.name,
        round(film.found, 3),
        follows(seen.mouth, theirs) if theirs is not None else None,
        blinks(seen.eyes),
        measure_head(seen.head.astype(np.float32), reference.levels),
        jitter(film.points),
        shared_expert().judge(clip_windows(reference.sound, HEARD), lip_shapes(points.astype(np.float32))),
        alike,
        milliseconds or {},
    )


def _pictures(
    engines: Engines, avatar: Avatar, options: PipelineOptions, sound: FloatArray, times: dict[str, list[float]]
) -> Iterator[ByteArray]:
    stream, renderer = CoefficientStream(engines, avatar, options), FaceRenderer(engines, avatar, options.face)
    start = time.perf_counter()
    windows = stream.push(sound) + stream.flush()
    times.setdefault("sound", []).append((time.perf_counter() - start) / max(len(windows), 1))
    for window in windows:
        start = time.perf_counter()
        (frame,) = renderer.render([window])
        times.setdefault("picture", []).append(time.perf_counter() - start)
        yield frame.rgb


def _views(engines: Engines, avatar: Avatar) -> tuple[ByteArray, ...]:
    """Render the face turned to each of VIEWS, in silence."""
    quiet = np.zeros(SAMPLE_RATE // 5, np.float32)
    held = (PipelineOptions(None, 0, FaceOptions(still=True, yaw=yaw, size=256)) for yaw in VIEWS)
    return tuple(_small(next(_pictures(engines, avatar, options, quiet, {}))) for options in held)


def _portrait(avatar: Avatar) -> FloatArray | None:
    faces = shared_landmarker().find(avatar.photo)
    return faces[0].points if faces else None


def _small(picture: ByteArray) -> ByteArray:
    return np.asarray(cv2.resize(picture, (192, 192), interpolation=cv2.INTER_AREA), np.uint8)
