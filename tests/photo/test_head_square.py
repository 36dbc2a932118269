"""The square about a head: inside the photo where it can be, drawn out softly where not."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.photo.head_square import Square, cut_square, head_square

EXTENTS = np.array([1.15, 1.3], np.float32)


def test_with_room_the_usual_square() -> None:
    square = head_square(np.array([500.0, 400.0], np.float32), 100.0, EXTENTS, (1000, 1000))
    assert square.half == pytest.approx(130)
    assert square.x == pytest.approx(500)
    assert 400 + 20 < square.y < 400 + 40
    assert square.overhang((1000, 1000)) == 0


def test_with_less_room_a_tighter_one() -> None:
    square = head_square(np.array([120.0, 400.0], np.float32), 100.0, EXTENTS, (1000, 1000))
    assert 115 <= square.half <= 120
    assert square.overhang((1000, 1000)) == 0


def test_with_too_little_the_photo_is_left() -> None:
    square = head_square(np.array([100.0, 90.0], np.float32), 100.0, EXTENTS, (200, 210))
    assert square.half == pytest.approx(115)
    assert 0 < square.overhang((200, 210)) < 0.1


@pytest.mark.parametrize("half", [20.0, 64.0, 300.0])
def test_pixels_land_where_points_do(half: float) -> None:
    photo = np.zeros((700, 700, 3), np.uint8)
    spot = (331.0, 352.0)  # the middle of a block of white
    reach = max(2, int(half / 12))
    photo[int(spot[1]) - reach : int(spot[1]) + reach, int(spot[0]) - reach : int(spot[0]) + reach] = 255
    square = Square(320.3, 349.7, half)
    picture = cut_square(photo, square, 256)[..., 0].astype(float)
    rows, columns = np.indices(picture.shape) + 0.5
    found = [(columns * picture).sum() / picture.sum(), (rows * picture).sum() / picture.sum()]
    expected = (square.to_picture(np.array([spot], np.float32))[0] + 1) * 128
    np.testing.assert_allclose(found, expected, atol=0.3)


def test_beyond_the_edge_the_border_goes_on() -> None:
    photo = np.full((100, 100, 3), 200, np.uint8)
    photo[:, :50] = (10, 20, 30)
    picture = cut_square(photo, Square(20, 50, 60), 128)
    assert np.abs(picture[:, :40].astype(int) - (10, 20, 30)).max() <= 2
    assert picture.shape == (128, 128, 3)
