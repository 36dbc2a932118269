"""What flows between the stages. Positions are in samples at SAMPLE_RATE from the start of the stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
ByteArray = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class AudioChunk:
    """Mono sound: `samples` float32 [n] in [-1, 1], the first one at `position`."""

    position: int
    samples: FloatArray


@dataclass(frozen=True, eq=False)
class Heard:
    """What a stretch of sound gives the stages, frame by frame.

    windows: float32 [n, 1, MEL_BANDS, WINDOW_MEL_FRAMES]; levels: in dB of full scale. They may be of different frames.
    tones: (pitch, brightness) of each level's frame, see `audio.tone.Tone`, or None where it is not voiced; empty where
    nobody listened for them.
    """

    windows: FloatArray
    levels: Sequence[float]
    tones: Sequence[tuple[float, float] | None] = ()


@dataclass(frozen=True, eq=False)
class Script:
    """What a face would draw from its seed or make of the sound, given instead; each is begun again when it ends.

    blink: float32 [n], how far the lids are closed, for a family whose expression stage takes that.
    reference: float32 [n, E], in place of the avatar's own reference expression; such as another face's lids and brows.
    pose: float32 [n, P].
    noise: float32 [blocks, Z], of the head motion's blocks.
    """

    blink: FloatArray | None = None
    reference: FloatArray | None = None
    pose: FloatArray | None = None
    noise: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class Coefficients:
    """What the face does in frame `index`: `expression` float32 [E] and `pose` float32 [P], in the manifest's order."""

    index: int
    expression: FloatArray
    pose: FloatArray

    def vector(self) -> FloatArray:
        """[E + P]: expression, then pose."""
        return np.concatenate([self.expression, self.pose])


@dataclass(frozen=True, eq=False)
class CoefficientWindow:
    """The coefficients around frame `index`: `values` float32 [E + P, past + 1 + future], time last.

    view: yaw, pitch, roll in degrees that the head is held at, where a session asked for it; NaN leaves an axis free.
    busy: how busy the lips are with speech in each of the frames, float32 [past + 1 + future], 0..1; None: not at all.
    """

    index: int
    values: FloatArray
    view: FloatArray | None = None
    busy: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class Keypoints:
    """Driving keypoints of frame `index`: `points` float32 [K, 3], x right, y down in [-1, 1], z to the viewer."""

    index: int
    points: FloatArray


@dataclass(frozen=True, eq=False)
class AvatarFrame:
    """A finished picture: `rgb` uint8 [H, W, 3], or [H, W, 4] with straight alpha where the background is transparent.

    It belongs to the sound from sample `position` on. painted: mouth and eyes are its own, not those of one before.
    """

    index: int
    rgb: ByteArray
    position: int
    painted: bool = True


class Paint(Enum):
    """Whether mouth and eyes of a frame are painted, which is about half of its cost, or those of the last kept."""

    ANEW = auto()
    WHERE_MOVED = auto()  # kept while nothing of them has moved by more than a fraction of a pixel
    KEPT = auto()
