"""Cross-fade from one avatar to another, both rendered from the same coefficients."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from streamer.core.frames import AvatarFrame, ByteArray, CoefficientWindow, Paint
from streamer.core.options import FaceOptions
from streamer.inference.rendered_session import Renderer

FADE_FRAMES = 8


class CrossFade:
    """A `Renderer` for FADE_FRAMES pictures; each costs as much as two."""

    def __init__(self, before: Renderer, after: Renderer) -> None:
        """Make a fade from `before` to `after`; if `before` is itself a fade, the rest of that fade is skipped."""
        self._after = after
        self._before: Renderer = before._after if isinstance(before, CrossFade) else before
        self._made = 0

    def render(self, windows: list[CoefficientWindow], paint: Paint = Paint.ANEW) -> list[AvatarFrame]:
        """Return one frame per window, at the size of the new avatar."""
        before = self._before.render(windows, paint)
        return [self._blend(*pair) for pair in zip(before, self._after.render(windows, paint), strict=True)]

    def showing(self, face: FaceOptions, smallest: bool = False) -> CrossFade:
        """Return this fade, at the same point, with both avatars shown this way. Raises what their `showing` raises."""
        other = CrossFade(self._before.showing(face, smallest), self._after.showing(face, smallest))
        other._made = self._made
        return other

    def settled(self) -> Renderer:
        """Return the renderer of the next picture: this fade, or the new avatar once the fade is over."""
        return self if self._made < FADE_FRAMES else self._after

    def _blend(self, before: AvatarFrame, after: AvatarFrame) -> AvatarFrame:
        self._made += 1
        share = self._made / (FADE_FRAMES + 1)
        return replace(after, rgb=blended(before.rgb, after.rgb, share))


def blended(before: ByteArray, after: ByteArray, share: float) -> ByteArray:
    """Mix `share` of the second picture with the rest of the first, at the second's size; uint8 [S, S, 3 or 4]."""
    if before.shape != after.shape:
        before = np.asarray(cv2.resize(before, after.shape[1::-1], interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.addWeighted(after, share, before, 1 - share, 0), np.uint8)
