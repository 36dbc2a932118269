"""Fit a square face into a picture of any size: with bars beside it, or cropped to fill the picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from streamer.core.frames import ByteArray
from streamer.core.options import CROP, LETTERBOX

BLUR = "blur"
RGBA = 4  # channels
COARSE = 16  # downscaling factor for the blur, which then takes 1 ms for 1280x720
SOFTNESS = 0.04  # standard deviation of the blur, of the longer side
DIMMED = 0.7  # brightness factor, so that the face stands out


@dataclass(frozen=True)
class Fit:
    """Fits pictures of any size into `width` x `height`, centred, with their proportions kept.

    fill: colour of the bars, `#rrggbb`, or BLUR: the picture itself, enlarged and blurred; None is black.
    """

    width: int
    height: int
    way: str = LETTERBOX
    fill: str | None = None

    def put(self, rgb: ByteArray) -> ByteArray:
        """Fit uint8 [h, w, c] into [height, width, c]; the bars of RGBA pictures are transparent."""
        high, wide = rgb.shape[:2]
        across, down = self.width / wide, self.height / high
        scale = max(across, down) if self.way == CROP else min(across, down)
        # A scaled side is never a pixel smaller (crop) or larger (letterbox) than the area to fill.
        bound = max if self.way == CROP else min
        size = bound(self.width, max(1, round(wide * scale))), bound(self.height, max(1, round(high * scale)))
        shrinks = scale < 1
        scaled = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
        left, top = abs(size[0] - self.width) // 2, abs(size[1] - self.height) // 2
        if self.way == CROP:
            return np.ascontiguousarray(scaled[top : top + self.height, left : left + self.width], np.uint8)
        whole = self._ground(rgb)
        whole[top : top + size[1], left : left + size[0]] = scaled
        return whole

    def _ground(self, rgb: ByteArray) -> ByteArray:
        """Return the area behind the face, [height, width, c]; always transparent for RGBA."""
        channels = rgb.shape[2]
        ground = np.zeros((self.height, self.width, channels), np.uint8)
        if self.fill is None or channels == RGBA:
            return ground
        if self.fill != BLUR:
            ground[:] = tuple(bytes.fromhex(self.fill.removeprefix("#")))
            return ground
        small = Fit(max(2, self.width // COARSE), max(2, self.height // COARSE), CROP).put(rgb)
        soft = cv2.GaussianBlur(small, (0, 0), max(small.shape[:2]) * SOFTNESS)
        size = (self.width, self.height)
        return np.asarray(cv2.resize(soft, size, interpolation=cv2.INTER_LINEAR) * np.float32(DIMMED), np.uint8)
