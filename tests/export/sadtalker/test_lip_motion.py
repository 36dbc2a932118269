"""The gate looks at change in the mouth region, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from export.sadtalker.lip_motion import LipMotionError, compare, syllables
from streamer.core.frames import FloatArray

RNG = np.random.default_rng(1)
STILL = np.broadcast_to(RNG.random((1, 3, 64, 64), np.float32), (6, 3, 64, 64))
MOUTH = np.zeros((1, 1, 64, 64), np.float32)
MOUTH[..., 40:52, 24:40] = 1
OPENING: FloatArray = np.sin(np.arange(6, dtype=np.float32))[:, None, None, None] * np.float32(0.1)
FRAMES: FloatArray = STILL + OPENING * MOUTH


def test_the_same_motion_passes_whatever_else_differs() -> None:
    brighter = FRAMES + np.float32(0.05)
    found = compare(FRAMES, brighter)
    assert found.accepted
    assert found.ratio == pytest.approx(1, abs=1e-4)
    assert found.psnr == pytest.approx(26, abs=0.1)


@pytest.mark.parametrize(
    "build",
    [
        STILL,
        STILL + np.float32(0.93) * OPENING * MOUTH,
        STILL + np.float32(1.07) * OPENING * MOUTH,
        STILL + np.roll(OPENING, 1, 0) * MOUTH,
        STILL - OPENING * MOUTH,
        FRAMES + np.float32(0.02) * RNG.standard_normal(FRAMES.shape, np.float32),
    ],
    ids=["frozen", "less", "more", "late", "inverted", "noisy"],
)
def test_another_motion_does_not(build: FloatArray) -> None:
    assert compare(FRAMES, build).psnr > 20
    assert not compare(FRAMES, build).accepted


def test_a_little_less_motion_passes() -> None:
    assert compare(FRAMES, STILL + np.float32(0.97) * OPENING * MOUTH).accepted


def test_frozen_lips_hide_behind_a_fine_picture() -> None:
    """Why PSNR will not do: it calls the frozen build the better one."""
    frozen, shifted = compare(FRAMES, STILL), compare(FRAMES, FRAMES + np.float32(0.05))
    assert frozen.psnr > shifted.psnr
    assert shifted.accepted
    assert not frozen.accepted


def test_motion_elsewhere_does_not_count() -> None:
    forehead = np.zeros_like(MOUTH)
    forehead[..., :16, :] = 1
    assert compare(FRAMES, FRAMES + OPENING * forehead).accepted


def test_a_reference_that_stands_still_says_nothing() -> None:
    with pytest.raises(LipMotionError, match="does not move"):
        compare(STILL, FRAMES)


def test_the_voice_swells_four_times_a_second() -> None:
    sound = syllables(50)
    assert sound.size == 2 * 16000
    level = np.abs(sound).reshape(-1, 400).max(1)
    assert np.count_nonzero((level[1:-1] > level[:-2]) & (level[1:-1] >= level[2:]) & (level[1:-1] > 0.05)) == 8
