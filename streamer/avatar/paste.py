"""Paste frames back into the whole photo, under a feathered mask that is computed once.

(The reference solves a Poisson equation per frame, which takes three times as long as rendering the frame.)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from streamer.avatar.bundle import Avatar
from streamer.avatar.bundle_files import WHOLE, read_picture
from streamer.avatar.catalogue import shows_whole
from streamer.core.errors import BundleError, ConfigError
from streamer.core.frames import ByteArray, FloatArray

BOX = "paste_box"  # in arrays.npz: left, top, right, bottom in pixels of the whole picture; may lie outside it
MOST_SIDE = 1920
MOST_ENLARGED = 1.5  # limit for enlarging frames; a larger photo is scaled down, or its head would look blurred
FEATHER = 0.10  # of the box's side


@dataclass(frozen=True)
class PasteBox:
    """The place of frames in the whole picture; edges may lie outside it."""

    left: int
    top: int
    right: int
    bottom: int

    def array(self) -> FloatArray:
        """Return the edges as stored, [4]."""
        return np.array([self.left, self.top, self.right, self.bottom], np.float32)


def whole_picture(photo: ByteArray, edges: tuple[float, float, float, float], size: int) -> tuple[ByteArray, PasteBox]:
    """Return the photo scaled to match frames of `size` pixels, and the place of the frames in it.

    Its sides are even, as video codecs need. `edges` are left, top, right, bottom in the photo.
    """
    left, top, right, bottom = edges
    height, width = photo.shape[:2]
    scale = min(1.0, MOST_SIDE / max(width, height), MOST_ENLARGED * size / max(right - left, bottom - top))
    across, down = (max(2, int(side * scale) // 2 * 2) for side in (width, height))
    if scale < 1:
        photo = np.asarray(cv2.resize(photo, (across, down), interpolation=cv2.INTER_AREA), np.uint8)
    photo = photo[:down, :across]
    ratio = (across / width, down / height) if scale < 1 else (1.0, 1.0)
    corners = [round(left * ratio[0]), round(top * ratio[1]), round(right * ratio[0]), round(bottom * ratio[1])]
    return np.ascontiguousarray(photo), PasteBox(*corners)


def limited(picture: ByteArray, pixels: int | None) -> ByteArray:
    """Return a picture, uint8 [H, W, 3], scaled down, to even sides, if it has more than `pixels`."""
    height, width = picture.shape[:2]
    if pixels is None or height * width <= pixels:
        return picture
    scale = float(np.sqrt(pixels / (height * width)))
    size = max(2, int(width * scale) // 2 * 2), max(2, int(height * scale) // 2 * 2)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def only_the_head(name: str) -> str:
    """Return the error message for mode full with an avatar that has no whole photo."""
    return f"avatar {name} has only its head; mode full is for one that was made of a photo that shows more"


def no_background(name: str) -> str:
    """Return the error message for a background behind a whole photo."""
    return f"a background is for pictures of the head; {name} shows the whole photo, of which no outline is known"


class PasteBack:
    """Pastes frames into the whole picture of one avatar."""

    def __init__(self, whole: ByteArray, box: PasteBox) -> None:
        """Compute the mask of the box. Raises ValueError: the box lies outside the picture."""
        height, width = whole.shape[:2]
        rows = slice(max(0, box.top), min(height, box.bottom))
        columns = slice(max(0, box.left), min(width, box.right))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            raise ValueError(f"box {box} outside a picture of {width}x{height}")
        self._whole = whole
        self._rows, self._columns = rows, columns
        self._size = (box.right - box.left, box.bottom - box.top)
        self._seen = (
            slice(rows.start - box.top, rows.stop - box.top),
            slice(columns.start - box.left, columns.stop - box.left),
        )
        down = _ramp(box.top, box.bottom, height)[self._seen[0]]
        across = _ramp(box.left, box.right, width)[self._seen[1]]
        self._weight = np.minimum(down[:, None], across[None]).astype(np.float32)
        self._rest = np.float32(1) - self._weight
        self._under = np.ascontiguousarray(whole[rows, columns])

    @classmethod
    def of(cls, avatar: Avatar, mode: str | None = None, pixels: int | None = None) -> PasteBack | None:
        """Make the paste-back of an avatar; None if the mode does not show its whole picture.

        mode: as in FaceOptions; pixels: largest number of pixels of the picture.

        Raises:
            ConfigError: mode full is asked for, but the avatar has only its head.
            BundleError: the picture is damaged.
        """
        if not shows_whole(avatar.info.mode, mode):
            return None
        if BOX not in avatar.constants:
            if mode is None:
                return None
            raise ConfigError(only_the_head(avatar.info.name))
        return cls.load(avatar.info.folder, avatar.constants[BOX], pixels)

    @classmethod
    def load(cls, folder: Path, box: FloatArray, pixels: int | None = None) -> PasteBack:
        """Read a bundle's whole picture, scaled down to at most `pixels`. Raises BundleError."""
        path = folder / WHOLE
        picture = read_picture(path)
        if box.shape != (4,) or not np.isfinite(box).all() or np.abs(box).max() > 1 << 16:
            raise BundleError(f"{path}: {BOX} is {list(box.shape)}, expected four numbers of pixels")
        small = limited(picture, pixels)
        across, down = small.shape[1] / picture.shape[1], small.shape[0] / picture.shape[0]
        edges = np.round(box * np.array([across, down, across, down], np.float32))
        try:
            return cls(small, PasteBox(*map(int, edges)))
        except ValueError as error:
            raise BundleError(f"{path}: {error}") from None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture that `paste` returns."""
        return self._whole.shape[1], self._whole.shape[0]

    def paste(self, frame: ByteArray) -> ByteArray:
        """Return the whole picture [H, W, 3] with the frame [S, S, 3] in its place."""
        scaled = cv2.resize(frame, self._size, interpolation=cv2.INTER_CUBIC)
        seen = np.ascontiguousarray(scaled[self._seen])
        picture = self._whole.copy()
        picture[self._rows, self._columns] = cv2.blendLinear(seen, self._under, self._weight, self._rest)
        return picture


def _ramp(low: int, high: int, length: int) -> FloatArray:
    """Return the weights along one side of the box: rising from 0 at its ends to 1, but 1 at a picture edge."""
    line = np.arange(low, high, dtype=np.float32) + np.float32(0.5)
    width = max(1.0, FEATHER * (high - low))
    start = (line - low) / width if low > 0 else np.ones_like(line)
    end = (high - line) / width if high < length else np.ones_like(line)
    share = np.clip(np.minimum(start, end), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)
