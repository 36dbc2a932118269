"""Frames at the photo's resolution: the photo warped along the flow, with the painted windows drawn over it.

The render network works on 256 pixels, but its changes are smooth (the flow) or small (mouth and eyes). So the flow is
scaled up and samples the full photo, which keeps skin and hair sharp; see Siarohin et al., First Order Motion Model
(2019), for warping by a backward flow.
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

# The photo is enlarged to this multiple of the frame's size, without added detail. Bilinear sampling then loses little
# at any subpixel position; on the frame's own grid, skin would alternate between soft and sharp as the head moves.
OVERSAMPLING = 2
MOST_SAMPLED = 1536  # pixels per side of the enlarged photo
# The loss by sampling is compensated in advance. Frames of 512 pixels then have 0.91 to 0.94 of the photo's sharpness
# (variance of the Laplacian; 0.75 without), and its 95th percentile over all shifts is 1.17 to 1.27 of the 5th.
SHARPENING, SHARPENED_OVER = 0.2, 1.5  # share, and standard deviation in the enlarged photo's pixels
PAINTED = 1 / 255  # alpha below which a layer is invisible
MARGIN = 2  # layer pixels around its visible part, for cubic interpolation
STEP = 4  # layer pixels that map to whole frame pixels at every offered size


class Moved(NamedTuple):
    """Similarity transform: rotation and scale, then a shift, of complex positions x + iy in -1..1."""

    turn: complex
    shift: complex


STAYED = Moved(1, 0)


@dataclass(frozen=True, eq=False)
class Layer:
    """Painted window.

    pixels: float32 [h, w, 4] in 0..1, premultiplied colour and alpha; moved: its motion since it was painted.
    """

    pixels: FloatArray
    moved: Moved = STAYED


class PhotoCanvas:
    """Canvas that draws frames of `size` pixels from one photo.

    source: the photo to sample, uint8 [S, S, 3], S at least the size.
    """

    def __init__(self, photo: ByteArray, windows: Sequence[tuple[int, int]], painted: int, size: int) -> None:
        """photo: uint8 [P, P, 3]; painted: side of the picture that the layers belong to.

        windows: (top, left) of each layer in that picture's pixels.
        """
        source = scaled(photo, size)
        if size * OVERSAMPLING <= MOST_SAMPLED:
            source = _crisp(scaled(source, size * OVERSAMPLING))
        self.source = source
        self._size = size
        self._enlarged = size / painted
        self._corners = list(windows)
        self._per_unit = np.float32(source.shape[0] / 2)  # source pixels per unit of flow
        self._x, self._y = _grid(size, source.shape[0])

    def draw(self, flow: FloatArray, layers: Sequence[Layer]) -> ByteArray:
        """Return the frame, uint8 [size, size, 3].

        flow: [2, g, g], backward flow: each place's source minus the place itself, in -1..1.
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
        whole, part = cv2.convertMaps(x, y, cv2.CV_16SC2)  # 1/32 pixel steps, in two thirds of the time
        frame = cv2.remap(self.source, whole, part, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(frame, np.uint8)

    def _lay(self, frame: ByteArray, corner: tuple[int, int], layer: Layer) -> None:
        """Draw the visible part of a layer over the frame."""
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
            return  # outside the picture
        rest = 1 - part[..., 3].clip(0, 1)
        mixed = cv2.multiply(under, cv2.merge((rest, rest, rest)), dtype=cv2.CV_32F)
        mixed = cv2.scaleAdd(cv2.cvtColor(part, cv2.COLOR_RGBA2RGB), 255, mixed)
        under[:] = cv2.addWeighted(mixed, 1, mixed, 0, 0, dtype=cv2.CV_8U)  # rounded and clipped

    def _shifted(self, part: FloatArray, y: int, x: int, moved: Moved) -> tuple[FloatArray, int, int]:
        """Return a part of the frame, first pixel at (y, x), after the motion, and its new first pixel."""
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
        made = cv2.warpAffine(part, matrix, (right - left, bottom - top), flags=cv2.INTER_CUBIC)  # 0 outside the part
        return np.asarray(made, np.float32), top, left


@lru_cache(maxsize=8)
def _grid(size: int, source: int) -> tuple[FloatArray, FloatArray]:
    """Return each frame pixel's x and y in a source of side `source`, [size, size]; cached for all canvases."""
    line = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(source / size)
    x = np.tile(line - np.float32(0.5), (size, 1))
    return x, np.ascontiguousarray(x.T)


def _crisp(picture: ByteArray) -> ByteArray:
    """Return an enlarged picture, sharpened to compensate for the later sampling."""
    soft = cv2.GaussianBlur(picture, (0, 0), SHARPENED_OVER)
    return np.asarray(cv2.addWeighted(picture, 1 + SHARPENING, soft, -SHARPENING, 0), np.uint8)
