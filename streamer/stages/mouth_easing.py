"""Ease the mouth shut when speech is interrupted.

What comes out of the stages for some frames after a cut still belongs to sound that will not be heard any more: the
look-ahead and playout's delay reach that far. In those frames the expression gives way to that of silence, while head
and eyes go on: a stream that began anew would make the head jump.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from streamer.core.frames import CoefficientWindow, FloatArray

EASE_FRAMES = 3  # from open to shut, and from shut to free again: 120 ms; most of the way is in the first
NOT_THE_MOUTH = ("eye", "brow", "blink")  # prefixes of units that do not follow the speech


def mouth_rows(names: Sequence[str]) -> list[int]:
    """Which of a family's expression coefficients give way; a face model's, which mix all of the face, all do."""
    return [row for row, name in enumerate(names) if not name.startswith(NOT_THE_MOUTH)]


@dataclass(frozen=True)
class Shut:
    """Frames in which the mouth is shut: it begins to close in frame `cut` and to be free in frame `resume`."""

    cut: int
    resume: int

    def then(self, later: Shut) -> Shut:
        """Both, when `later` comes after this one: a mouth that is shut already does not open to be shut again."""
        return replace(later, cut=self.cut) if self.cut <= later.cut <= self.resume else later

    def freedom(self, frame: int) -> float:
        """How much of the expression is left in a frame: 1 all, 0 nothing."""
        closing = 1.0 - (frame - self.cut + 1) / EASE_FRAMES
        opening = (frame - self.resume) / EASE_FRAMES
        return min(1.0, max(0.0, closing, opening)) ** 2


class MouthEasing:
    """`rest`: float32 [E], the expression of silence; `rows` of it give way (see `mouth_rows`)."""

    def __init__(self, rest: FloatArray, rows: Sequence[int]) -> None:
        self._rows = np.asarray(rows, np.intp)
        self._rest = rest[self._rows, None]

    def ease(self, window: CoefficientWindow, shut: Shut) -> CoefficientWindow:
        """The window with its mouth as far shut as its frame asks.

        All of its columns are: a motion stage that averages over a second of them would keep the mouth open.
        """
        return self.shut_by(window, np.float32(shut.freedom(window.index)))

    def shut_by(self, window: CoefficientWindow, freedom: np.float32) -> CoefficientWindow:
        """The window with so much of its mouth's expression left: 1 all, 0 nothing."""
        if freedom == 1.0:
            return window
        values = window.values.copy()
        values[self._rows] = self._rest + freedom * (values[self._rows] - self._rest)
        return replace(window, values=values)
