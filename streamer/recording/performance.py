"""A performance: what a face did, frame by frame, in numbers, so that the same face does it again or another one does.

Frames are numbered from the session's start and belong to its sound: frame i to the samples from i / fps seconds on.
Coefficients come in *runs*: within a run, each frame's picture was made of those around it; a new run owes nothing to
the one before (the inference process was started again, say), and between two there may be frames without any.
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

MOST_FRAMES = 24 * 3600 * 25  # a day: six times as long as a session lasts
LARGEST = 1e4  # no coefficient, and no angle in degrees, is anywhere near


@dataclass(frozen=True)
class About:
    """What a performance says of itself. Empty or None: it does not say.

    lookahead_ms: the dial, which tells how much of later coefficients went into a picture; None is all of them.
    view: yaw, pitch, roll in degrees that the head was held at; None where it was free.
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
        """Of what a session with these options is going to perform."""
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
    """All of a performance. Where the view took the place of the pose, the pose has it already.

    expression: float32 [n, E]; pose: float32 [n, P]; index: int64 [n], the frame that each row is of, rising.
    starts: int64 [r], rows with which runs begin; the first is 0. Within a run no frame is missing.
    freedom: float32 [n], how much of the expression was left in each frame's picture: 1 all, 0 that of silence, which
        is `rest`, float32 [E]. (The coefficients are those before it was taken away.)
    sound: a file with the sound that was played, from frame 0 on; None where there is none.
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
        """One run from frame 0 on in which nothing was cut off: `values` float32 [n, E + P]."""
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
        """The rows of each run."""
        ends = [*self.starts[1:], len(self.index)]
        for start, end in zip(self.starts, ends, strict=True):
            yield slice(int(start), int(end))

    def check(self, origin: Path) -> None:
        """Raises MediaError, naming `origin`, where the parts do not fit each other or hold what cannot be."""
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
            if not (np.abs(values) <= LARGEST).all():  # neither is NaN
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
        within[rows[1:] - 1] = False  # between two runs there may be a hole
        if (steps < 1).any() or (steps[within] != 1).any():
            raise MediaError(f"{origin}: frames are missing within a run, or not in order")

    def fits(self, manifest: Manifest, origin: Path) -> None:
        """Raises ConfigError where a family cannot play it: its coefficients are others, or its frame rate is."""
        names, other = self.about, manifest.coefficients
        if (names.expression_names, names.pose_names) != (other.expression, other.pose):
            made = f"family {names.family}" if names.family else "another family"
            raise ConfigError(f"{origin}: was performed with {made}, whose coefficients are not {manifest.family}'s")
        if names.fps != manifest.fps:
            raise ConfigError(f"{origin}: is at {names.fps} frames a second; {manifest.family} runs at {manifest.fps}")
