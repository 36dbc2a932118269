"""Pictures with the bundled characters' faces, which are nobody's."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

import engines
from streamer.core.frames import ByteArray, FloatArray

STARTER = Path(engines.__file__).parent / "starter"


def portrait(name: str, size: int = 256) -> ByteArray:
    """A bundled character's portrait [size, size, 3], RGB."""
    picture = load(STARTER / "avatars" / name / "portrait.webp")
    return np.asarray(cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def load(path: Path) -> ByteArray:
    """A picture [H, W, 3], RGB."""
    picture = cv2.imread(str(path))
    assert picture is not None, path
    return np.asarray(picture[..., ::-1], np.uint8)


def keypoints(name: str, size: int = 256) -> FloatArray:
    """Where the character's 478 face points are in it, pixels [478, 2]: known exactly."""
    with np.load(STARTER / "avatars" / name / "arrays.npz") as arrays:
        return np.asarray((arrays["source_keypoints"][:478, :2] + 1) * (size / 2), np.float32)


def side_by_side(*pictures: ByteArray) -> ByteArray:
    """Pictures in a row on grey."""
    height = max(len(picture) for picture in pictures)
    row = np.full((height, sum(picture.shape[1] for picture in pictures), 3), 128, np.uint8)
    left = 0
    for picture in pictures:
        row[: len(picture), left : left + picture.shape[1]] = picture
        left += picture.shape[1]
    return row


def save(path: Path, picture: ByteArray) -> Path:
    """Write a picture and return its path."""
    cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return path
