"""Lids that shut are the photo's own skin, whatever its colour, and lie where the head is."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from streamer.core.frames import ByteArray, FloatArray
from streamer.stages.drawing.eye_opening import (
    LEFT_BROW,
    LEFT_EYE,
    LEFT_IRIS,
    RIGHT_BROW,
    RIGHT_EYE,
    RIGHT_IRIS,
    as_complex,
    openings,
)
from streamer.stages.drawing.eyelids import Eyelids

SIZE = 256
WIDE, HIGH = 24, 9  # half an eye, in pixels
MIDDLES = ((80, 120), (176, 120))
WHITE, IRIS, LASH = (240, 240, 240), (40, 90, 160), (10, 10, 10)
SKINS = [(225, 190, 165), (70, 45, 35), (80, 120, 190), (128, 128, 128)]
SKIN = SKINS[0]


def mesh(shut: float = 0.0) -> FloatArray:
    """Two eyes with brows, in -1..1; all other points far away. shut: how far the upper lids have come down."""
    points = np.full((478, 2), -500.0)
    parts = ((RIGHT_EYE, RIGHT_BROW, RIGHT_IRIS), (LEFT_EYE, LEFT_BROW, LEFT_IRIS))
    for (x, y), (ring, brow, iris) in zip(MIDDLES, parts, strict=True):
        turn = np.pi * np.arange(16) / 8
        across, height = -np.cos(turn) * WIDE, np.sin(turn) * HIGH
        height = np.where(height < 0, height + shut * 2 * np.abs(height), height)
        points[list(ring)] = np.stack([x + across, y + height], 1)
        points[list(brow)] = np.stack([x + np.linspace(-WIDE, WIDE, 5), np.full(5, y - 30)], 1)
        points[list(iris)] = (x, y)
    return np.asarray(points * (2 / SIZE) - 1, np.float32)


def photo(skin: tuple[int, int, int] = SKIN) -> ByteArray:
    picture = np.full((SIZE, SIZE, 3), skin, np.uint8)
    for middle in MIDDLES:
        cv2.ellipse(picture, middle, (WIDE, HIGH), 0, 0, 360, WHITE, -1)
        cv2.circle(picture, middle, 8, IRIS, -1)
        cv2.ellipse(picture, middle, (WIDE, HIGH), 0, 180, 360, LASH, 2)
    return picture


def laid(frame: ByteArray, own: ByteArray, shut: float, moved: FloatArray | None = None) -> ByteArray:
    made = frame.copy()
    Eyelids(own, openings(own, mesh(), mesh())).lay(made, mesh(shut) if moved is None else moved)
    return made


@pytest.mark.parametrize("skin", SKINS)
def test_shut_lids_are_skin_with_lashes_at_their_edge(skin: tuple[int, int, int]) -> None:
    made = laid(photo(skin), photo(skin), 1).astype(int)
    for x, y in MIDDLES:
        lid = made[y - HIGH : y + 3, x - WIDE // 2 : x + WIDE // 2]
        assert np.abs(lid - skin).max() <= 3  # no white, no iris, no paint
        assert made[y + 4 : y + HIGH + 4, x].sum(1).min() < sum(skin) / 2 + 60  # the lid's dark edge came down


def test_eyes_that_are_as_open_as_in_the_photo_are_left_as_they_are() -> None:
    np.testing.assert_array_equal(laid(photo(), photo(), 0), photo())
    np.testing.assert_array_equal(laid(photo(), photo(), -0.3), photo())


def test_under_a_lid_that_is_half_shut_the_eye_stays_where_it_is() -> None:
    made = laid(photo(), photo(), 0.5).astype(int)
    for x, y in MIDDLES:
        assert np.abs(made[y - 6 : y - 3, x] - SKIN).max() <= 3
        assert np.abs(made[y + 4 : y + 7, x] - IRIS).max() <= 3
        assert np.abs(made[y + 4 : y + 6, x - 14] - WHITE).max() <= 3


def test_the_skin_about_the_eyes_does_not_change() -> None:
    grain = np.random.default_rng(1).integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)
    changed = np.argwhere((laid(grain, grain, 1) != grain).any(-1))
    for row, column in changed:
        assert min(abs(column - x) for x, _ in MIDDLES) <= 1.5 * WIDE
        assert 120 - 32 <= row <= 120 + 32


def test_lids_go_with_the_head() -> None:
    turn, shift = np.exp(0.2j), 0.1 - 0.05j
    points = mesh(1)
    placed = (points[:, 0] + 1j * points[:, 1]) * turn + shift
    moved = np.stack([placed.real, placed.imag], 1).astype(np.float32)
    frame = np.full((SIZE, SIZE, 3), (255, 0, 255), np.uint8)
    made = laid(frame, photo(), 1, moved).astype(int)
    for x, y in MIDDLES:
        middle = complex(x, y - 2) * (2 / SIZE) - (1 + 1j)
        there = (middle * turn + shift + (1 + 1j)) * SIZE / 2
        assert np.abs(made[round(there.imag), round(there.real)] - SKIN).max() <= 3


def test_a_head_at_the_picture_s_edge_is_cut_off_there() -> None:
    for shift in (-1.0, 1.0, -2.5):
        frame = np.zeros((SIZE, SIZE, 3), np.uint8)
        assert laid(frame, photo(), 1, mesh(1) + np.float32(shift)).shape == frame.shape


def test_a_photo_with_shut_eyes_has_nothing_to_shut() -> None:
    frame = photo()
    eyes = openings(photo(), mesh(0.95), mesh(0.95))
    assert not eyes
    Eyelids(photo(), eyes).lay(frame, mesh(1))
    np.testing.assert_array_equal(frame, photo())


@pytest.mark.parametrize("skin", SKINS)
def test_no_white_is_left_where_landmarks_lie_inside_the_eye(skin: tuple[int, int, int]) -> None:
    """Those of rendered people do, by up to a tenth of the eye's width."""
    points = mesh()
    for (x, y), ring in zip(MIDDLES, (RIGHT_EYE, LEFT_EYE), strict=True):
        middle = np.array([x, y]) * (2 / SIZE) - 1
        points[list(ring)] = middle + (points[list(ring)] - middle) * (0.93, 0.75)
    made, own = photo(skin), photo(skin)
    Eyelids(own, openings(own, points, mesh())).lay(made, mesh(1))
    for x, y in MIDDLES:
        eye = made[y - HIGH : y + HIGH + 2, x - WIDE : x + WIDE].astype(int)
        assert not (np.abs(eye - WHITE).max(-1) < 20).any()
        assert not (np.abs(eye - IRIS).max(-1) < 20).any()


def test_large_eyes_shut_at_a_whole_blink_though_their_lids_do_not_meet() -> None:
    own = photo()
    eyes = openings(own, mesh(), mesh())
    half, whole = own.copy(), own.copy()
    Eyelids(own, eyes).lay(half, mesh(0.6))
    for eye in eyes:
        eye.shut_at(as_complex(mesh(0.6)))
    Eyelids(own, eyes).lay(whole, mesh(0.6))
    for x, y in MIDDLES:
        assert (np.abs(half[y : y + HIGH, x].astype(int) - IRIS).max(-1) < 20).any()
        assert np.abs(whole[y - HIGH : y + HIGH - 2, x].astype(int) - SKIN).max() <= 3


def test_lashes_are_not_stretched_with_the_skin() -> None:
    own = photo()
    for x, y in MIDDLES:
        for across in range(-WIDE, WIDE, 6):
            cv2.line(own, (x + across, y - 6), (x + round(across * 1.2), y - HIGH - 12), LASH, 1)
    made = laid(own, own, 1).astype(int)
    for x, y in MIDDLES:
        assert np.abs(made[y - HIGH - 2 : y, x - WIDE // 2 : x + WIDE // 2] - SKIN).max() <= 6
