"""Frames drawn from the photo itself: nothing moved is the photo, what is painted lies over it, at every size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.core.frames import ByteArray
from streamer.core.pictures import scaled
from streamer.stages.drawing.photo_canvas import STAYED, Layer, Moved, PhotoCanvas

NETWORK = 64
SIZES = (64, 96, 128, 192)
WINDOWS = [(8, 16), (40, 24)]
SPAN = np.array([16, 24])
NO_FLOW = np.zeros((2, 16, 16), np.float32)


def photo(side: int = 256) -> ByteArray:
    """Smooth colours: no detail that a change of size would lose."""
    y, x = np.mgrid[:side, :side] / side
    return np.asarray(np.stack([x * 200 + 20, y * 200 + 20, (x + y) * 100], -1), np.uint8)


def layers(alpha: float, colour: float = 1.0, moved: Moved = STAYED) -> list[Layer]:
    made = np.zeros((16, 24, 4), np.float32)
    made[4:12, 6:18, :3] = colour * alpha
    made[4:12, 6:18, 3] = alpha
    return [Layer(made, moved), Layer(made, moved)]


@pytest.mark.parametrize("size", SIZES)
def test_what_does_not_move_is_the_photo(size: int) -> None:
    frame = PhotoCanvas(photo(), WINDOWS, NETWORK, size).draw(NO_FLOW, layers(0))
    assert frame.shape == (size, size, 3)
    assert np.abs(frame.astype(int) - scaled(photo(), size)).max() <= 2


@pytest.mark.parametrize("size", SIZES)
def test_a_flow_says_where_each_place_comes_from(size: int) -> None:
    flow = NO_FLOW.copy()
    flow[0], flow[1] = 0.25, -0.125  # an eighth of the picture to the right, a sixteenth up
    frame = PhotoCanvas(photo(), WINDOWS, NETWORK, size).draw(flow, layers(0))
    still = scaled(photo(), size)
    right, up = size // 8, size // 16
    assert np.abs(frame[up:-up, :-right].astype(int) - still[: -2 * up, right:]).max() <= 2
    assert np.abs(frame[:, -1].astype(int) - frame[:, -2]).max() <= 2  # beyond its edge, the photo goes on


@pytest.mark.parametrize("size", SIZES)
def test_paint_lies_in_its_window_and_nowhere_else(size: int) -> None:
    canvas, scale = PhotoCanvas(photo(), WINDOWS, NETWORK, size), size / NETWORK
    plain, painted = canvas.draw(NO_FLOW, layers(0)), canvas.draw(NO_FLOW, layers(1))
    for top, left in WINDOWS:
        rows = slice(round((top + 6) * scale), round((top + 10) * scale))
        columns = slice(round((left + 8) * scale), round((left + 16) * scale))
        assert (painted[rows, columns] == 255).all()
    changed = np.argwhere((plain != painted).any(-1)) / scale
    inside = [((changed >= corner) & (changed <= corner + SPAN)).all(1) for corner in np.array(WINDOWS)]
    assert np.logical_or(*inside).all()


@pytest.mark.parametrize("size", SIZES)
def test_paint_goes_where_its_window_has_moved(size: int) -> None:
    """A quarter of a turn about the picture's middle, then an eighth of the picture to the right."""
    canvas, scale = PhotoCanvas(np.zeros((256, 256, 3), np.uint8), WINDOWS, NETWORK, size), size / NETWORK
    frame = canvas.draw(NO_FLOW, layers(1, moved=Moved(1j, 0.25)))
    for top, left in WINDOWS:
        y, x = (top + 8 - NETWORK / 2, left + 12 - NETWORK / 2)
        middle = round((NETWORK / 2 + x) * scale), round((NETWORK / 2 - y + NETWORK / 8) * scale)
        assert (frame[middle] == 255).all()
        assert (frame[middle[0] + round(4 * scale), middle[1]] == 255).all()  # it is taller now than it is wide
        assert (frame[middle[0], middle[1] + round(5.5 * scale)] == 0).all()


def test_paint_that_is_moved_by_nothing_but_rounding_is_as_it_was() -> None:
    canvas = PhotoCanvas(photo(), WINDOWS, NETWORK, 128)
    still, moved = (canvas.draw(NO_FLOW, layers(0.5, moved=Moved(turn, 0))) for turn in (1, 1 + 1e-9))
    assert np.abs(still.astype(int) - moved).max() <= 1


def test_paint_is_blended_with_the_photo() -> None:
    canvas = PhotoCanvas(np.full((64, 64, 3), 100, np.uint8), WINDOWS, NETWORK, 64)
    frame = canvas.draw(NO_FLOW, layers(0.5))
    assert np.abs(frame[16, 28].astype(int) - 178).max() <= 1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(SIZES))
def test_any_flow_and_paint_give_a_picture(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    flow = rng.normal(0, 2, NO_FLOW.shape).astype(np.float32)
    moved = Moved(complex(*rng.normal(0, 1, 2)), complex(*rng.normal(0, 1, 2)))
    paint = [Layer(rng.uniform(-0.5, 1.5, (16, 24, 4)).astype(np.float32), moved) for _ in WINDOWS]
    frame = PhotoCanvas(photo(), WINDOWS, NETWORK, size).draw(flow, paint)
    assert frame.shape == (size, size, 3)
    assert frame.dtype == np.uint8


def test_skin_stays_as_sharp_wherever_between_two_pixels_it_comes_to_lie() -> None:
    """Bilinear samples of the frame's own grid lose half of a fine grain when the head moves by half a pixel."""
    rng = np.random.default_rng(1)
    grain = scaled(rng.integers(60, 200, (256, 256, 3), dtype=np.uint8), 128)
    canvas = PhotoCanvas(grain, WINDOWS, NETWORK, 128)
    contrast = []
    for quarters in range(5):
        flow = np.full_like(NO_FLOW, quarters / 4 / 64)  # of a pixel
        frame = canvas.draw(flow, layers(0))[8:-8, 8:-8].astype(float)
        contrast.append(frame.std())
    assert min(contrast) > 0.75 * max(contrast)
