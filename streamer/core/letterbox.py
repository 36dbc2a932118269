"""A square face in a picture of any size: with bars beside it, or cut so that it fills the picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from streamer.core.frames import ByteArray
from streamer.core.options import CROP, LETTERBOX


@dataclass(frozen=True)
class Fit:
    """Puts pictures of any size into `width` x `height`, their proportions kept, centred; the bars are black."""

    width: int
    height: int
    way: str = LETTERBOX

    def put(self, rgb: ByteArray) -> ByteArray:
        """uint8 [h, w, c] to [height, width, c]; of RGBA, the bars are transparent."""
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
        whole = np.zeros((self.height, self.width, rgb.shape[2]), np.uint8)
        whole[top : top + size[1], left : left + size[0]] = scaled
        return whole
