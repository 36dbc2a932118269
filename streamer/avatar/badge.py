"""Draw a visible badge, "AI-generated", into the lower left corner of pictures."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from streamer.core.disclosure import LABEL
from streamer.core.frames import ByteArray
from streamer.core.pictures import has_alpha

HEIGHT = 1 / 20  # of the picture's shorter side
LEAST = 14  # pixels; a smaller badge is not readable
PAPER, INK = (24, 24, 24), (255, 255, 255)


class Badge:
    """The badge for pictures of one size."""

    def __init__(self, size: tuple[int, int]) -> None:
        """Draw the badge for pictures of `size`, width and height in pixels."""
        width, height = size
        sticker = _sticker(max(LEAST, round(min(size) * HEIGHT)))
        if sticker.shape[1] > width or sticker.shape[0] > height:  # picture smaller than the badge, such as a thumbnail
            scale = min(width / sticker.shape[1], height / sticker.shape[0])
            sides = max(1, int(sticker.shape[1] * scale)), max(1, int(sticker.shape[0] * scale))
            sticker = np.asarray(cv2.resize(sticker, sides, interpolation=cv2.INTER_AREA), np.uint8)
        margin = min(sticker.shape[0] // 2, height - sticker.shape[0], width - sticker.shape[1])
        self._sticker = sticker
        self._rows = slice(height - margin - sticker.shape[0], height - margin)
        self._columns = slice(margin, margin + sticker.shape[1])

    def put(self, picture: ByteArray) -> ByteArray:
        """Return a copy of uint8 [H, W, 3], or [H, W, 4] with alpha, with the badge in it."""
        marked = picture.copy()
        marked[self._rows, self._columns, :3] = self._sticker
        if has_alpha(marked):
            marked[self._rows, self._columns, 3] = 255
        return marked


def badged(picture: ByteArray) -> ByteArray:
    """Return a copy of one picture, uint8 [H, W, 3 or 4], with the badge."""
    return Badge((picture.shape[1], picture.shape[0])).put(picture)


@lru_cache(maxsize=8)
def _sticker(height: int) -> ByteArray:
    """Draw the text on its paper, uint8 [height, W, 3] RGB."""
    font = ImageFont.load_default(size=height * 0.66)
    pad = height // 3
    width = round(font.getlength(LABEL)) + 2 * pad
    paper = Image.new("RGB", (width, height), PAPER)
    ImageDraw.Draw(paper).text((width / 2, height / 2), LABEL, INK, font, anchor="mm")
    return np.asarray(paper, np.uint8)
