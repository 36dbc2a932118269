"""Figures of known curves are those that were put in."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.measure.card.signals import blinks, follows, jitter, signals
from streamer.vision.landmarks import POINTS

RNG = np.random.default_rng(0)
MOUTH = np.convolve(RNG.random(220), np.ones(5) / 5, "valid")


def test_a_late_and_weaker_mouth_is_told_as_such() -> None:
    late = 0.1 + 0.5 * np.roll(MOUTH, 2)
    found = follows(late[2:], MOUTH[2:])
    assert (found.lag_ms, found.spread) == (80, 0.5)
    assert found.r > 0.99 > found.r_at_zero


def test_too_little_to_compare_is_refused() -> None:
    with pytest.raises(ValueError, match="49 frames are too few"):
        follows(MOUTH[:49], MOUTH)


def test_blinks_are_counted_and_closed_eyes_are_none() -> None:
    eyes = np.full(500, 0.3)
    for start in (50, 200, 350):
        eyes[start : start + 4] = 0.06
    eyes[400:450] = 0.05  # asleep
    found = blinks(eyes)
    assert (found.per_minute, found.ms, found.least) == (9.0, 160, 0.2)


def test_a_face_that_is_missing_for_a_moment_is_drawn_straight() -> None:
    points = np.tile(RNG.random((1, POINTS, 3)).astype(np.float32), (60, 1, 1))
    whole = signals(points)
    points[20:25] = np.nan
    assert np.allclose(signals(points).mouth, whole.mouth)
    assert jitter(points) == 0.0
    points[30:, :, 0] += 0.1 * np.arange(30)[:, None] % 0.2
    assert jitter(points) > 10
