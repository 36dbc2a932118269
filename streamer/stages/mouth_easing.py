"""Ease the mouth shut when speech is interrupted.

For some frames after a barge-in, the stages still output frames for audio that will not be played: the span of the
look-ahead and the playout delay. In those frames the expression fades to that of silence while head and eyes continue.
Restarting the stream instead would make the head jump.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from streamer.core.frames import CoefficientWindow, FloatArray

EASE_FRAMES = 3  # from open to shut, and from shut to free again: 120 ms; most of the change is in the first
NOT_THE_MOUTH = ("eye", "brow", "blink")  # prefixes of units that speech does not move


def mouth_rows(names: Sequence[str]) -> list[int]:
    """Return the rows of the expression coefficients to ease; all rows for a face model, which mixes the whole face."""
    return [row for row, name in enumerate(names) if not name.startswith(NOT_THE_MOUTH)]


@dataclass(frozen=True)
class Shut:
    """Span of frames with a shut mouth: it begins to close in frame `cut` and to move again in frame `resume`."""

    cut: int
    resume: int

    def then(self, later: Shut) -> Shut:
        """Return this span joined with a `later` one if they touch, so that a shut mouth does not open in between."""
        return replace(later, cut=self.cut) if self.cut <= later.cut <= self.resume else later

    def freedom(self, frame: int) -> float:
        """Return the share of the expression kept in a frame: 1 all, 0 none."""
        closing = 1.0 - (frame - self.cut + 1) / EASE_FRAMES
        opening = (frame - self.resume) / EASE_FRAMES
        return min(1.0, max(0.0, closing, opening)) ** 2


class MouthEasing:
    """Fade of the mouth to the expression of silence.

    rest: that expression, float32 [E]; rows: the coefficients to fade (see `mouth_rows`).
    """

    def __init__(self, rest: FloatArray, rows: Sequence[int]) -> None:
        self._rows = np.asarray(rows, np.intp)
        self._rest = rest[self._rows, None]

    def ease(self, window: CoefficientWindow, shut: Shut) -> CoefficientWindow:
        """Return the window with its mouth closed as far as its frame requires.

        All columns are closed alike: a motion stage that averages over a second of them would keep the mouth open.
        """
        return self.shut_by(window, np.float32(shut.freedom(window.index)))

    def shut_by(self, window: CoefficientWindow, freedom: np.float32) -> CoefficientWindow:
        """Return the window with this share of its mouth's expression kept: 1 all, 0 none."""
        if freedom == 1.0:
            return window
        values = window.values.copy()
        values[self._rows] = self._rest + freedom * (values[self._rows] - self._rest)
        return replace(window, values=values)
