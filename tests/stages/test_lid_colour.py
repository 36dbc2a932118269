"""Lids take the colour of the skin about the eyes, whatever the network paints; eyes keep theirs."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.core.frames import FloatArray
from streamer.stages.lid_colour import LEFT_EYE, RIGHT_EYE, SHADE, LidColour

SIZE, CORNER = 128, np.array([32.0, 16.0])
HEIGHT, WIDTH = 40, 96
ORANGE = np.array([0.6, 0.35, 0.15], np.float32)


def keypoints() -> FloatArray:
    """Two eyes as ellipses, 24 by 10 pixels; all other points in a corner."""
    points = np.full((478, 3), -0.99, np.float32)
    for ring, x in ((RIGHT_EYE, 44), (LEFT_EYE, 84)):
        turn = np.linspace(0, 2 * np.pi, len(ring), endpoint=False)
        points[list(ring), 0] = (x + 12 * np.cos(turn)) / (SIZE / 2) - 1
        points[list(ring), 1] = (52 + 5 * np.sin(turn)) / (SIZE / 2) - 1
    return points


def layer(colour: FloatArray, alpha: float = 0.9) -> FloatArray:
    painted = np.zeros((HEIGHT, WIDTH, 4), np.float32)
    painted[..., :3], painted[..., 3] = colour * alpha, alpha
    return painted


@pytest.mark.parametrize("skin", [(0.9, 0.75, 0.65), (0.25, 0.16, 0.12), (0.3, 0.45, 0.7), (0.5, 0.5, 0.5)])
def test_shut_lids_are_of_the_skin_s_colour(skin: tuple[float, float, float]) -> None:
    portrait = np.broadcast_to(np.array(skin, np.float32), (SIZE, SIZE, 3))
    shut = layer(ORANGE)
    lids = LidColour.measure(portrait, keypoints(), shut, CORNER)
    made = lids.correct(shut, np.zeros((HEIGHT, WIDTH), np.float32))
    for x in (44, 84):
        middle = made[52 - 32, x - 16]
        wanted = np.clip(SHADE * np.array(skin), 0.5 * ORANGE, 2.2 * ORANGE).clip(0, 1)
        np.testing.assert_allclose(middle[:3] / middle[3], wanted, atol=0.02)
    np.testing.assert_array_equal(made[..., 3], shut[..., 3])
    np.testing.assert_allclose(made[0, 0], shut[0, 0], atol=1e-3)  # far from the eyes


def test_an_eye_that_is_seen_keeps_its_colour_and_so_do_lashes() -> None:
    portrait = np.full((SIZE, SIZE, 3), 0.8, np.float32)
    shut = layer(ORANGE)
    lids = LidColour.measure(portrait, keypoints(), shut, CORNER)
    seen = lids.correct(shut, np.ones((HEIGHT, WIDTH), np.float32))
    np.testing.assert_allclose(seen, shut, atol=1e-6)
    lashes = layer(ORANGE * 0.3)
    np.testing.assert_allclose(lids.correct(lashes, np.zeros((HEIGHT, WIDTH), np.float32)), lashes, atol=1e-6)


def test_a_face_without_paint_or_skin_about_its_eyes_is_left_as_it_is() -> None:
    portrait = np.full((SIZE, SIZE, 3), 0.8, np.float32)
    lids = LidColour.measure(portrait, keypoints(), np.zeros((HEIGHT, WIDTH, 4), np.float32), CORNER)
    shut = layer(ORANGE)
    np.testing.assert_allclose(lids.correct(shut, np.zeros((HEIGHT, WIDTH), np.float32)), shut, atol=1e-6)
