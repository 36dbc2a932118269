"""Another background behind an avatar's pictures, by the matte made once of its portrait."""

from __future__ import annotations

import cv2
import numpy as np

from streamer.avatar import Avatar
from streamer.background import BLUR, TRANSPARENT, colour_of
from streamer.frames import ByteArray, FloatArray
from streamer.matte import matte_of, portrait_of

BLUR_RADIUS = 0.035  # of the picture's side


class Backdrop:
    """Puts one background behind the pictures of one avatar."""

    def __init__(self, portrait: ByteArray, matte: FloatArray, background: str) -> None:
        """portrait: uint8 [S, S, 3]; matte: float32 [S, S], 1 where the person is; background: of `background.read`."""
        self._matte = matte
        self._transparent = background == TRANSPARENT
        if background == BLUR:
            self._behind = np.asarray(_blurred(portrait, matte), np.float32)
        elif not self._transparent:
            self._behind = np.broadcast_to(colour_of(background).astype(np.float32), portrait.shape)

    @classmethod
    def of(cls, avatar: Avatar, background: str) -> Backdrop:
        """For the pictures of an avatar. Raises BundleError when its matte is damaged."""
        return cls(portrait_of(avatar), matte_of(avatar), background)

    def put(self, rgb: ByteArray) -> ByteArray:
        """uint8 [S, S, 3] on the background; [S, S, 4] with straight alpha where that is transparent."""
        if self._transparent:
            alpha = np.asarray(self._matte * 255 + 0.5, np.uint8)
            return np.dstack([rgb, alpha])
        share = self._matte[..., None]
        return np.asarray(rgb * share + self._behind * (1 - share) + 0.5, np.uint8)


def _blurred(portrait: ByteArray, matte: FloatArray) -> FloatArray:
    """The background alone, blurred: the person does not bleed into it."""
    radius = BLUR_RADIUS * portrait.shape[0]
    weight = np.clip(1 - 4 * matte, 0, 1)[..., None] + np.float32(1e-3)  # edges are of both
    seen = cv2.GaussianBlur(np.asarray(portrait * weight, np.float32), (0, 0), radius)
    total = cv2.GaussianBlur(weight, (0, 0), radius)[..., None]
    return np.asarray(seen / total, np.float32)
