"""Shapes of lips are of the lips alone: not of where the face is, how large, how turned, or whose."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.vision.lip_shapes import LIPS, WIDTH, lip_shapes

RNG = np.random.default_rng(3)
FACE = RNG.normal(0, 50, (478, 2)) + 200


def talking(face: np.ndarray, frames: int = 40) -> np.ndarray:
    """A mouth that opens and shuts: its lower half moves."""
    points = np.repeat(face[None], frames, axis=0)
    points[:, list(LIPS[:6:2]), 1] += 5 * np.sin(np.arange(frames))[:, None]
    return points


@pytest.mark.parametrize(("turn", "scale", "shift"), [(0.3, 1.0, 0), (0.0, 2.5, 40), (-0.2, 0.4, -70)])
def test_head_motion_and_size_change_nothing(turn: float, scale: float, shift: float) -> None:
    points = talking(FACE)
    plain = lip_shapes(points.astype(np.float32))
    angles = turn * np.sin(np.arange(len(points)) / 5)
    spin = np.stack([[np.cos(angles), -np.sin(angles)], [np.sin(angles), np.cos(angles)]]).transpose(2, 0, 1)
    moved = scale * np.einsum("nij,nkj->nki", spin, points) + shift
    assert plain.shape == (40, WIDTH)
    np.testing.assert_allclose(lip_shapes(moved.astype(np.float32)), plain, atol=2e-3)


def test_a_face_that_is_still_has_no_shape() -> None:
    assert np.abs(lip_shapes(np.repeat(FACE[None], 9, axis=0).astype(np.float32))).max() < 1e-5
    assert np.abs(lip_shapes(talking(FACE).astype(np.float32))).max() > 0.02
