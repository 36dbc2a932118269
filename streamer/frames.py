"""What flows between the stages. Positions are in samples at SAMPLE_RATE from the start of the stream."""

from __future__ import annotations

from dataclasses import dataclass

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
    """The coefficients around frame `index`: `values` float32 [E + P, past + 1 + future], time last."""

    index: int
    values: FloatArray


@dataclass(frozen=True, eq=False)
class Keypoints:
    """Driving keypoints of frame `index`: `points` float32 [K, 3], x right, y down in [-1, 1], z to the viewer."""

    index: int
    points: FloatArray


@dataclass(frozen=True, eq=False)
class AvatarFrame:
    """A finished picture: `rgb` uint8 [H, W, 3]; it belongs to the sound from sample `position` on."""

    index: int
    rgb: ByteArray
    position: int
