"""Data passed between the stages. Positions are in samples at SAMPLE_RATE from the start of the stream."""

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
    """Mono sound: `samples` float32 [n] in [-1, 1], the first at `position`."""

    position: int
    samples: FloatArray


@dataclass(frozen=True, eq=False)
class Heard:
    """Audio features of a piece of sound, per frame, as input of the stages.

    windows: float32 [n, 1, MEL_BANDS, WINDOW_MEL_FRAMES]; levels: in dB of full scale. Both may cover different frames.
    tones: (pitch, brightness) for the frame of each level, see `audio.tone.Tone`, or None if it is unvoiced; empty if
    tones were not computed.
    """

    windows: FloatArray
    levels: Sequence[float]
    tones: Sequence[tuple[float, float] | None] = ()


@dataclass(frozen=True, eq=False)
class Script:
    """Given values in place of those that a face draws from its seed or from the sound; each array repeats at its end.

    blink: float32 [n], how far the lids are closed, for a family whose expression stage takes it.
    reference: float32 [n, E], in place of the avatar's reference expression, such as another face's lids and brows.
    pose: float32 [n, P].
    noise: float32 [blocks, Z], for the blocks of the head motion.
    """

    blink: FloatArray | None = None
    reference: FloatArray | None = None
    pose: FloatArray | None = None
    noise: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class Coefficients:
    """The face in frame `index`: `expression` float32 [E] and `pose` float32 [P], in the manifest's order."""

    index: int
    expression: FloatArray
    pose: FloatArray

    def vector(self) -> FloatArray:
        """Return [E + P]: expression, then pose."""
        return np.concatenate([self.expression, self.pose])


@dataclass(frozen=True, eq=False)
class CoefficientWindow:
    """The coefficients around frame `index`: `values` float32 [E + P, past + 1 + future], time last.

    view: fixed yaw, pitch, roll of the head in degrees, if the session asked for it; NaN leaves an axis free.
    busy: how much the lips are speaking in each frame, float32 [past + 1 + future], 0..1; None: not at all.
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
    """A finished picture: `rgb` uint8 [H, W, 3], or [H, W, 4] with straight alpha if the background is transparent.

    It belongs to the sound from sample `position` on. painted: mouth and eyes were painted, not kept from before.
    """

    index: int
    rgb: ByteArray
    position: int
    painted: bool = True


class Paint(Enum):
    """Whether a frame's mouth and eyes are painted, about half of its cost, or kept from the last frame."""

    ANEW = auto()
    WHERE_MOVED = auto()  # kept while no part of them has moved by more than a fraction of a pixel
    KEPT = auto()
