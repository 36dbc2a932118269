"""A face of any shape in a camera's picture of any shape."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.core.frames import ByteArray
from streamer.core.letterbox import Fit
from streamer.core.options import CROP, FITS, LETTERBOX


def _face(height: int, width: int) -> ByteArray:
    """Grey 200, with a darker middle column and row that tell where the centre went."""
    face = np.full((height, width, 3), 200, np.uint8)
    face[height // 2 - 2 : height // 2 + 2] = 100
    face[:, width // 2 - 2 : width // 2 + 2] = 100
    return face


@pytest.mark.parametrize("way", FITS)
@pytest.mark.parametrize("size", [(640, 360), (360, 640), (256, 256), (98, 64), (1920, 1080)])
@pytest.mark.parametrize("face", [(256, 256), (255, 171), (64, 64)])
def test_the_picture_has_the_size_asked_for_and_the_face_in_its_middle(
    way: str, size: tuple[int, int], face: tuple[int, int]
) -> None:
    picture = Fit(*size, way).put(_face(*face))
    assert picture.shape == (size[1], size[0], 3)
    assert picture.flags.c_contiguous
    middle = picture[size[1] // 2 - 1 : size[1] // 2 + 1, size[0] // 2 - 1 : size[0] // 2 + 1]
    assert abs(middle.mean() - 100) < 40


def test_bars_are_black_and_the_whole_face_is_between_them() -> None:
    picture = Fit(640, 360, LETTERBOX).put(np.full((256, 256, 3), 200, np.uint8))
    assert not picture[:, :140].any()
    assert not picture[:, 500:].any()
    assert (picture[:, 140:500] == 200).all()


def test_a_cropped_face_fills_the_picture() -> None:
    face = np.zeros((256, 256, 3), np.uint8)
    face[56:200] = 200  # the middle 144 rows: what 16:9 leaves of a square
    assert (Fit(256, 144, CROP).put(face) == 200).all()


def test_a_picture_of_the_right_size_is_not_touched() -> None:
    face = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    np.testing.assert_array_equal(Fit(64, 64).put(face), face)


def test_the_bars_may_be_a_colour_or_the_picture_out_of_focus() -> None:
    face = _face(256, 256)
    face[..., 2] = 40
    plain = Fit(640, 360).put(face)
    for fill in ("#102030", "102030", "blur"):
        filled = Fit(640, 360, fill=fill).put(face)
        assert np.array_equal(filled[:, 140:500], plain[:, 140:500])  # the face itself
        bars = np.concatenate([filled[:, :140], filled[:, 500:]], axis=1).astype(int)
        if fill == "blur":
            assert np.abs(bars.mean((0, 1)) - 0.7 * face.mean((0, 1))).max() < 15
            assert np.abs(np.diff(bars, axis=0)).max() <= 3
        else:
            assert (bars == (16, 32, 48)).all()


def test_a_transparent_picture_keeps_transparent_bars() -> None:
    clear = Fit(640, 360, fill="blur").put(np.full((256, 256, 4), 255, np.uint8))
    assert clear[:, :140].max() == 0
