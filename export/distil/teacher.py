"""The teacher: one avatar of a family, and its pictures of many motions, in shards so that rendering can resume."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from engines.errors import AvatarError, ManifestError
from engines.files import replacing
from engines.manifest import FRAME_STAGES, Manifest
from engines.runtime import Engines
from export.distil.motion_space import Motions
from streamer.avatar.bundle import PREPARING
from streamer.core import npz, pictures
from streamer.core.frames import ByteArray, CoefficientWindow, FloatArray, Keypoints
from streamer.pipeline import Avatar
from streamer.stages.motion import MotionStage
from streamer.stages.render import RenderStage

PLAN = "motions.npz"
SHARD = 40  # pictures
MOTIONS_AT_ONCE = 32
NEEDED = (*(stage for stage in FRAME_STAGES if stage != "paint"), "appearance")
PAINTED = 512  # a student's painting resolution in pixels; the family's picture size must divide it

Say = Callable[[str], None]


def open_teacher(folder: Path, threads: int) -> Engines:
    """Open a family whose pictures a student can learn.

    Raises:
        ManifestError: the family is missing, lacks a stage, or has a picture size that does not divide PAINTED.
    """
    manifest = Manifest.load(folder)
    if missing := [stage for stage in NEEDED if stage not in manifest.stages]:
        raise ManifestError(
            f"{folder}: family {manifest.family} lacks {', '.join(missing)}; a teacher needs {', '.join(NEEDED)}: "
            "export it again (docs/sadtalker.md)"
        )
    if PAINTED % manifest.size:
        raise ManifestError(
            f"{folder}: its pictures have {manifest.size} pixels a side, expected a whole part of {PAINTED}"
        )
    return Engines.open(manifest, threads=threads, without=PREPARING)


@dataclass(frozen=True, eq=False)
class Lessons:
    """Motions to render. learnt, held: driving keypoints, float32 [n, K, 3] and [m, K, 3]; source: the portrait's
    keypoints, [K, 3]."""

    learnt: FloatArray
    held: FloatArray
    source: FloatArray

    @property
    def keypoints(self) -> FloatArray:
        """All driving keypoints; the held-back ones come first, so that a comparison is possible early."""
        return np.concatenate([self.held, self.learnt])


class Teacher:
    """Renders lessons into a folder; shards already there are not rendered again."""

    def __init__(self, engines: Engines, avatar: Avatar, work: Path) -> None:
        """Raises AvatarError: the folder holds pictures of another avatar or family."""
        self._engines, self._avatar, self._work = engines, avatar, work
        self._mark = _fingerprint(engines.manifest, avatar)
        if (found := self._planned()) is not None and found[0] != self._mark:
            raise AvatarError(
                f"{work}: holds pictures of another avatar or family; choose another folder with --work, or delete it"
            )

    def plan(self, motions: Callable[[], Motions]) -> Lessons:
        """Return the lessons stored in the folder, or make and store them from `motions`. Raises OSError."""
        if (found := self._planned()) is not None:
            return found[1]
        made = motions()
        stage = MotionStage(self._engines[self._avatar.motion_stage], self._avatar)
        source = self._avatar.constants["source_keypoints"][0]
        lessons = Lessons(_driven(stage, made.learnt), _driven(stage, made.held), source)
        self._work.mkdir(parents=True, exist_ok=True)
        with replacing(self._work / PLAN) as partial:
            np.savez(partial, of=self._mark, learnt=lessons.learnt, held=lessons.held, source=source)
        return lessons

    def render(self, lessons: Lessons, say: Say) -> None:
        """Render all missing shards. Raises OSError, EngineError."""
        keypoints = lessons.keypoints
        missing = [start for start in range(0, len(keypoints), SHARD) if not _shard(self._work, start).is_file()]
        if not missing:
            return
        todo = sum(min(SHARD, len(keypoints) - start) for start in missing)
        say(f"rendering {todo} of {len(keypoints)} pictures with family {self._engines.manifest.family}")
        render, began, done = RenderStage(self._engines, self._avatar), time.monotonic(), 0
        for start in missing:
            part = keypoints[start : start + SHARD]
            files = [pictures.encode_png(render.infer(Keypoints(i, points)).rgb) for i, points in enumerate(part)]
            ends = np.cumsum([len(file) for file in files])
            with replacing(_shard(self._work, start)) as partial:
                np.savez(partial, png=np.frombuffer(b"".join(files), np.uint8), ends=ends)  # type: ignore[arg-type]
            done += len(part)
            each = (time.monotonic() - began) / done
            say(f"{done} of {todo} pictures, {each:.2f} s each, {each * (todo - done) / 60:.1f} min to go")

    def _planned(self) -> tuple[str, Lessons] | None:
        path = self._work / PLAN
        if not path.is_file():
            return None
        found = npz.load(path)
        return str(found["of"]), Lessons(*(np.asarray(found[n], np.float32) for n in ("learnt", "held", "source")))


class Pictures:
    """The rendered pictures, kept in memory as encoded files."""

    def __init__(self, work: Path, count: int) -> None:
        self._files = [file for start in range(0, count, SHARD) for file in _files(_shard(work, start))]

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> ByteArray:
        """Decode one picture, uint8 [S, S, 3] RGB. Raises AvatarError if it is damaged."""
        found = pictures.decode(self._files[index])
        if found is None:
            raise AvatarError(f"picture {index} of the teacher is damaged; delete the work folder and begin again")
        return found


def _files(shard: Path) -> Iterator[bytes]:
    with np.load(shard, allow_pickle=False) as arrays:
        data, ends = arrays["png"].tobytes(), [0, *arrays["ends"].tolist()]
    return (data[begin:end] for begin, end in pairwise(ends))


def _shard(work: Path, start: int) -> Path:
    return work / f"pictures-{start:06}.npz"


def _driven(stage: MotionStage, windows: FloatArray) -> FloatArray:
    """Compute keypoints [n, K, 3] of windows [n, C, W]."""
    rows = [CoefficientWindow(i, values) for i, values in enumerate(windows)]
    parts = (rows[i : i + MOTIONS_AT_ONCE] for i in range(0, len(rows), MOTIONS_AT_ONCE))
    return np.stack([keypoints.points for part in parts for keypoints in stage.infer(part)])


def _fingerprint(manifest: Manifest, avatar: Avatar) -> str:
    """Hash all that the pictures depend on: the family's networks, the portrait and its keypoints."""
    digest = hashlib.sha256(f"{manifest.family} {manifest.version} {manifest.size}".encode())
    for name in ("portrait", "source_keypoints"):
        digest.update(np.ascontiguousarray(avatar.constants[name]).tobytes())
    return digest.hexdigest()[:16]
