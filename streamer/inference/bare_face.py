"""Renderer for sessions without pictures: it returns the coefficients in place of pixels."""

from __future__ import annotations

from streamer.core.frames import AvatarFrame, CoefficientWindow, Paint
from streamer.core.options import FaceOptions
from streamer.core.rates import SAMPLES_PER_FRAME
from streamer.core.units.numbers import packed


class BareFace:
    """A `Renderer` for any avatar. past: number of columns in a window before the column of its frame."""

    def __init__(self, past: int) -> None:
        self._past = past

    def render(self, windows: list[CoefficientWindow], paint: Paint = Paint.ANEW) -> list[AvatarFrame]:
        """Return, for each window, the packed coefficients of its frame."""
        return [
            AvatarFrame(window.index, packed(window.values[:, self._past]), window.index * SAMPLES_PER_FRAME)
            for window in windows
        ]

    def showing(self, face: FaceOptions, smallest: bool = False) -> BareFace:
        """Return this renderer: size and background do not matter here."""
        return self
