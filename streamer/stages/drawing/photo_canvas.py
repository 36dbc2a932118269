"""Frames at the photo's own resolution: the photo warped along the flow, and the painted windows laid over it.

The render network works on 256 pixels, but what it changes is smooth (the flow) or small (mouth and eyes). So the flow
is scaled up and samples the photo itself, which leaves skin and hair as sharp as they are; see Siarohin et al., First
Order Motion Model (2019), for warping by a backward flow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from streamer.core.frames import ByteArray, FloatArray
from streamer.core.pictures import scaled

# The photo is kept this many times the frame's size, though with no finer detail. Bilinear sampling then loses little,
# wherever between two pixels it falls; on the frame's own grid, skin would turn soft and sharp as the head moves.
OVERSAMPLING = 2
MOST_SAMPLED = 1536  # pixels a side of the enlarged photo
# What sampling softens is given back beforehand. Frames of 512 pixels then have 0.91 to 0.94 of the photo's sharpness
# (variance of the Laplacian; 0.75 without), and its 95th percentile over all shifts is 1.17 to 1.27 of the 5th.
SHARPENING, SHARPENED_OVER = 0.2, 1.5  # share, and standard deviation in the enlarged photo's pixels
PAINTED = 1 / 255  # alpha below which nothing is seen of a layer
MARGIN = 2  # pixels of a layer about what is seen of it, for cubic interpolation
STEP = 4  # pixels of a layer, of which so many are whole pixels of the frame at every offered size


class Moved(NamedTuple):
    """A turn and scale, then a shift, of complex places x + iy in -1..1."""

    turn: complex
    shift: complex


STAYED = Moved(1, 0)


@dataclass(frozen=True, eq=False)
class Layer:
    """A painted window. pixels: float32 [h, w, 4] in 0..1, colour multiplied by its alpha, and alpha; moved: how it has
    moved since it was painted."""

    pixels: FloatArray
    moved: Moved = STAYED


class PhotoCanvas:
    """Draws frames of `size` pixels from one photo.

    source: the photo as it is sampled, uint8 [S, S, 3], S at least the size.
    """

    def __init__(self, photo: ByteArray, windows: Sequence[tuple[int, int]], painted: int, size: int) -> None:
        """photo: uint8 [P, P, 3]; painted: the side of the picture that the layers belong to; windows: (top, left) of
        each layer in that picture's pixels."""
        source = scaled(photo, size)
        if size * OVERSAMPLING <= MOST_SAMPLED:
            source = _crisp(scaled(source, size * OVERSAMPLING))
        self.source = source
        self._size = size
        self._enlarged = size / painted
        self._corners = list(windows)
        self._per_unit = np.float32(source.shape[0] / 2)  # pixels of the source for a unit of flow
        self._x, self._y = _grid(size, source.shape[0])

    def draw(self, flow: FloatArray, layers: Sequence[Layer]) -> ByteArray:
        """uint8 [size, size, 3].

        flow: [2, g, g], where each place comes from less the place itself, in -1..1.
        """
        frame = self._warped(flow)
        for corner, layer in zip(self._corners, layers, strict=True):
            self._lay(frame, corner, layer)
        return frame

    def _warped(self, flow: FloatArray) -> ByteArray:
        shift = flow * self._per_unit
        x, y = (cv2.resize(axis, (self._size, self._size), interpolation=cv2.INTER_LINEAR) for axis in shift)
        cv2.add(x, self._x, dst=x)
        cv2.add(y, self._y, dst=y)
        whole, part = cv2.convertMaps(x, y, cv2.CV_16SC2)  # 1/32 of a pixel, in two thirds of the time
        frame = cv2.remap(self.source, whole, part, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(frame, np.uint8)

    def _lay(self, frame: ByteArray, corner: tuple[int, int], layer: Layer) -> None:
        """Lay what is seen of a layer over the frame."""
        seen = layer.pixels[..., 3] > PAINTED
        rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
        if not rows.size:
            return
        height, width = seen.shape
        top, left = (max(0, int(line[0]) - MARGIN) // STEP * STEP for line in (rows, columns))
        bottom = min(height, -(-(int(rows[-1]) + 1 + MARGIN) // STEP) * STEP)
        right = min(width, -(-(int(columns[-1]) + 1 + MARGIN) // STEP) * STEP)
        part = layer.pixels[top:bottom, left:right]
        if self._enlarged != 1:
            sides = round((right - left) * self._enlarged), round((bottom - top) * self._enlarged)
            how = cv2.INTER_CUBIC if self._enlarged > 1 else cv2.INTER_AREA
            part = np.asarray(cv2.resize(part, sides, interpolation=how), np.float32)
        y, x = round((corner[0] + top) * self._enlarged), round((corner[1] + left) * self._enlarged)
        if layer.moved != STAYED:
            part, y, x = self._shifted(part, y, x, layer.moved)
        under = frame[y : y + part.shape[0], x : x + part.shape[1]]
        if not under.size:
            return  # it has left the picture
        rest = 1 - part[..., 3].clip(0, 1)
        mixed = cv2.multiply(under, cv2.merge((rest, rest, rest)), dtype=cv2.CV_32F)
        mixed = cv2.scaleAdd(cv2.cvtColor(part, cv2.COLOR_RGBA2RGB), 255, mixed)
        under[:] = cv2.addWeighted(mixed, 1, mixed, 0, 0, dtype=cv2.CV_8U)  # rounded and clipped

    def _shifted(self, part: FloatArray, y: int, x: int, moved: Moved) -> tuple[FloatArray, int, int]:
        """A part of the frame whose first pixel is at (y, x), moved; and where its first pixel is then."""
        height, width = part.shape[:2]
        middle, first = (self._size / 2 - 0.5) * (1 + 1j), x + 1j * y
        shift = moved.turn * (first - middle) + middle + moved.shift * self._size / 2
        ends = moved.turn * np.array([-1 - 1j, width - 1j, -1 + 1j * height, width + 1j * height]) + shift
        left, right = (int(end) for end in np.clip([np.floor(ends.real.min()), ends.real.max() + 1], 0, self._size))
        top, bottom = (int(end) for end in np.clip([np.floor(ends.imag.min()), ends.imag.max() + 1], 0, self._size))
        if left >= right or top >= bottom:
            return part[:0], 0, 0
        shift -= left + 1j * top
        turn = moved.turn
        matrix = np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])
        made = cv2.warpAffine(part, matrix, (right - left, bottom - top), flags=cv2.INTER_CUBIC)  # 0 about the part
        return np.asarray(made, np.float32), top, left


@lru_cache(maxsize=8)
def _grid(size: int, source: int) -> tuple[FloatArray, FloatArray]:
    """x and y in a source of that side of each pixel of a frame, [size, size]; shared by all canvases."""
    line = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(source / size)
    x = np.tile(line - np.float32(0.5), (size, 1))
    return x, np.ascontiguousarray(x.T)


def _crisp(picture: ByteArray) -> ByteArray:
    """An enlarged picture with its fine detail raised, so that it is as it was after sampling."""
    soft = cv2.GaussianBlur(picture, (0, 0), SHARPENED_OVER)
    return np.asarray(cv2.addWeighted(picture, 1 + SHARPENING, soft, -SHARPENING, 0), np.uint8)
