"""The flow about a face is calm, and within it as the network gave it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamer.core.frames import FloatArray
from streamer.stages.drawing.head_outline import HeadOutline

CELLS = 64
EAST, SOUTH = np.meshgrid(*[(np.arange(CELLS) + 0.5) * 2 / CELLS - 1] * 2)
DISTANCE = np.hypot(EAST, SOUTH)  # of each cell from the middle of the picture
WITHIN = np.maximum(abs(EAST), abs(SOUTH)) < 0.75  # beyond the picture's edge there is nothing to go along with
FACE, ABOUT = DISTANCE < 0.35, WITHIN & (DISTANCE > 0.75)


def outline() -> HeadOutline:
    """A face of radius 0.5, whose mouth moves most; a neck and shoulders that no expression moves."""
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], -1)
    keypoints = np.concatenate([circle * 0.5, circle * 0.1, circle * 0.95]).astype(np.float32)
    basis = np.zeros((2, len(keypoints), 3), np.float32)
    basis[0, :24, 1], basis[1, 24:48, 1] = 0.02, 0.1
    return HeadOutline(keypoints, basis, CELLS)


def flow(x: FloatArray | NDArray[np.float64]) -> FloatArray:
    return np.stack([x, np.zeros_like(x)]).astype(np.float32)


def test_a_head_that_moves_as_one_is_moved_as_before() -> None:
    turned = flow(0.1 + 0.05 * EAST)
    np.testing.assert_allclose(outline().calmed(turned)[:, WITHIN], turned[:, WITHIN], atol=1e-3)


def test_what_wavers_beside_the_face_is_calmed_and_the_face_is_not() -> None:
    waves = flow(0.05 * np.sin(2 * np.pi * np.arange(CELLS) / 4)[None].repeat(CELLS, 0))
    calmed = outline().calmed(waves)
    np.testing.assert_allclose(calmed[:, FACE], waves[:, FACE], atol=2e-3)
    assert np.abs(calmed[:, ABOUT]).max() < 0.05 * np.abs(waves).max()


def test_between_face_and_hair_there_is_no_edge() -> None:
    stayed = flow(np.where(DISTANCE < 0.5, 0.2, 0.0))  # a face that moves alone
    steps = [np.abs(np.diff(made, axis=2)).max() for made in (stayed, outline().calmed(stayed))]
    assert steps[1] < 0.5 * steps[0]
