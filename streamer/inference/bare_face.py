"""A face that is not drawn: its coefficients take the place of its pictures."""

from __future__ import annotations

from streamer.core.frames import AvatarFrame, CoefficientWindow, Paint
from streamer.core.options import FaceOptions
from streamer.core.rates import SAMPLES_PER_FRAME
from streamer.core.units.numbers import packed


class BareFace:
    """A `Renderer` of any avatar. past: columns of a window before its frame's own."""

    def __init__(self, past: int) -> None:
        self._past = past

    def render(self, windows: list[CoefficientWindow], paint: Paint = Paint.ANEW) -> list[AvatarFrame]:
        """For each window the coefficients of its frame, packed."""
        return [
            AvatarFrame(window.index, packed(window.values[:, self._past]), window.index * SAMPLES_PER_FRAME)
            for window in windows
        ]

    def showing(self, face: FaceOptions, smallest: bool = False) -> BareFace:
        """The same."""
        return self
