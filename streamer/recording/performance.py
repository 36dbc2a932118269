"""A performance: the coefficients of an avatar, frame by frame, for replay with the same avatar or another one.

Frames are numbered from the session's start and aligned with its audio: frame i starts at i / fps seconds.
Coefficients come in *runs*: within a run, each picture was made from the coefficients of its frame and its neighbours.
A new run is independent of the one before (for example after a restart of the inference process), and frames between
two runs may have no coefficients.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.manifest import Manifest
from streamer.core.errors import ConfigError, MediaError
from streamer.core.frames import FloatArray
from streamer.core.options import FaceOptions
from streamer.stages.held_view import AXES, asked

IntArray = NDArray[np.int64]

MOST_FRAMES = 24 * 3600 * 25  # a day: six times the longest session
LARGEST = 1e4  # far above any coefficient, and any angle in degrees


@dataclass(frozen=True)
class About:
    """Metadata of a performance. An empty text means unknown.

    lookahead_ms: the look-ahead, up to which later coefficients went into a picture; None means all of them.
    view: yaw, pitch, roll in degrees at which the head was held; None for a free axis.
    """

    expression_names: tuple[str, ...]
    pose_names: tuple[str, ...]
    fps: int
    family: str = ""
    avatar: str = ""
    lookahead_ms: int | None = None
    view: tuple[float | None, float | None, float | None] = (None, None, None)

    @classmethod
    def of(cls, manifest: Manifest, avatar: str, lookahead_ms: int | None, face: FaceOptions) -> About:
        """Return the metadata for a session with these options."""
        names, angles = manifest.coefficients, asked(face)
        return cls(
            expression_names=names.expression,
            pose_names=names.pose,
            fps=manifest.fps,
            family=manifest.family,
            avatar=avatar,
            lookahead_ms=lookahead_ms,
            view=(angles.get(AXES[0]), angles.get(AXES[1]), angles.get(AXES[2])),
        )


@dataclass(frozen=True, eq=False)
class Performance:
    """A complete performance. If the head was held at a view, `pose` already contains it.

    expression: float32 [n, E]; pose: float32 [n, P]; index: int64 [n], the frame of each row, increasing.
    starts: int64 [r], the first row of each run; the first one is 0. Within a run no frame is missing.
    freedom: float32 [n], the share of the expression kept in each frame's picture: 1 all, 0 only that of silence, which
        is `rest`, float32 [E]. (The stored coefficients are those before this reduction.)
    sound: a file with the audio that was played, from frame 0 on, or None.
    """

    about: About
    expression: FloatArray
    pose: FloatArray
    index: IntArray
    starts: IntArray
    freedom: FloatArray
    rest: FloatArray
    sound: Path | None = None

    @classmethod
    def plain(cls, about: About, values: FloatArray) -> Performance:
        """Return a single run from frame 0 on without interruptions: `values` float32 [n, E + P]."""
        split = len(about.expression_names)
        return cls(
            about,
            expression=values[:, :split],
            pose=values[:, split:],
            index=np.arange(len(values)),
            starts=np.zeros(1, np.int64),
            freedom=np.ones(len(values), np.float32),
            rest=np.zeros(split, np.float32),
        )

    def runs(self) -> Iterator[slice]:
        """Yield the rows of each run as a slice."""
        ends = [*self.starts[1:], len(self.index)]
        for start, end in zip(self.starts, ends, strict=True):
            yield slice(int(start), int(end))

    def check(self, origin: Path) -> None:
        """Check shapes and values. Raises MediaError, naming `origin`, if they do not match or are out of range."""
        count, names = len(self.index), self.about
        if not 1 <= count <= MOST_FRAMES:
            raise MediaError(f"{origin}: {count} frames found, 1 to {MOST_FRAMES} expected")
        expected = {
            "expression": (count, len(names.expression_names)),
            "pose": (count, len(names.pose_names)),
            "freedom": (count,),
            "rest": (len(names.expression_names),),
        }
        for name, shape in expected.items():
            values: FloatArray = getattr(self, name)
            if values.shape != shape:
                raise MediaError(f"{origin}: {name} is {list(values.shape)}, {list(shape)} expected")
            if not (np.abs(values) <= LARGEST).all():  # false for NaN, too
                raise MediaError(f"{origin}: {name} holds values that are no numbers, or beyond {LARGEST:g}")
        if not ((self.freedom >= 0) & (self.freedom <= 1)).all():
            raise MediaError(f"{origin}: freedom is beyond 0 to 1")
        self._check_order(origin)

    def _check_order(self, origin: Path) -> None:
        rows, frames = self.starts, self.index
        if not len(rows) or rows[0] != 0 or rows[-1] >= len(frames) or not (np.diff(rows) > 0).all():
            raise MediaError(f"{origin}: starts are not rows in order, the first of them 0")
        if frames.min() < 0 or frames.max() >= MOST_FRAMES:
            raise MediaError(f"{origin}: frames {frames.min()} to {frames.max()}, 0 to {MOST_FRAMES - 1} expected")
        steps = np.diff(frames)
        within = np.ones(len(steps), np.bool_)
        within[rows[1:] - 1] = False  # between two runs, frames may be missing
        if (steps < 1).any() or (steps[within] != 1).any():
            raise MediaError(f"{origin}: frames are missing within a run, or not in order")

    def fits(self, manifest: Manifest, origin: Path) -> None:
        """Raise ConfigError if a family cannot play it: its coefficients or its frame rate differ."""
        names, other = self.about, manifest.coefficients
        if (names.expression_names, names.pose_names) != (other.expression, other.pose):
            made = f"family {names.family}" if names.family else "another family"
            raise ConfigError(f"{origin}: was performed with {made}, whose coefficients are not {manifest.family}'s")
        if names.fps != manifest.fps:
            raise ConfigError(f"{origin}: is at {names.fps} frames a second; {manifest.family} runs at {manifest.fps}")
