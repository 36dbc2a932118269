"""Smoothing: the reference's filter as it comes, and a follower that nothing makes jump."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.core.frames import FloatArray
from streamer.stages.smoothing import TAPS, Follower, SavitzkyGolay


def track(frames: int) -> FloatArray:
    return np.random.default_rng(frames).standard_normal((frames, 3)).astype(np.float32)


def smoothed(values: FloatArray) -> FloatArray:
    smooth = SavitzkyGolay()
    known = [frame for value in values for frame in smooth.push(value)]
    return np.array(known + smooth.flush())


def fitted(values: FloatArray, taps: int) -> FloatArray:
    """By definition: each frame from the parabola through the window around it; the outermost windows at the ends."""
    frames = np.arange(len(values))
    starts = np.clip(frames - taps // 2, 0, len(values) - taps)
    found = np.empty_like(values)
    for frame, start in zip(frames, starts, strict=True):
        window = np.arange(start, start + taps)
        found[frame] = [np.polyval(np.polyfit(window - frame, column[window], 2), 0) for column in values.T]
    return found


@pytest.mark.parametrize("frames", [13, 14, 19, 26, 70])
def test_every_frame_lies_on_the_parabola_of_its_window(frames: int) -> None:
    np.testing.assert_allclose(smoothed(track(frames)), fitted(track(frames), TAPS), atol=1e-5)


@pytest.mark.parametrize("frames", [3, 4, 5, 8, 11, 12])
def test_a_short_track_takes_the_largest_odd_window(frames: int) -> None:
    taps = frames if frames % 2 else frames - 1
    np.testing.assert_allclose(smoothed(track(frames)), fitted(track(frames), taps), atol=1e-5)


@pytest.mark.parametrize("frames", [1, 2])
def test_a_track_too_short_for_a_parabola_stays(frames: int) -> None:
    np.testing.assert_array_equal(smoothed(track(frames)), track(frames))


def test_a_frame_waits_for_six_more_and_the_first_ones_for_thirteen() -> None:
    smooth, counts = SavitzkyGolay(), []
    for value in track(20):
        counts.append(len(smooth.push(value)))
    assert counts == [0] * 12 + [7] + [1] * 7
    assert len(smooth.flush()) == 6
    smooth.reset()
    assert smooth.flush() == []


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.1, 1.0, 100.0]), st.integers(1, 40))
def test_no_target_bends_the_follower_more_than_it_may(seed: int, reach: float, hold: int) -> None:
    rng = np.random.default_rng(seed)
    follower = Follower(2, frequency=12.0, bend=0.01)
    targets = np.repeat(rng.choice([-reach, reach], (200 // hold + 1, 2)), hold, axis=0)
    path = np.concatenate([np.zeros((2, 2)), *(follower.step(target)[None] for target in targets)])
    assert np.abs(np.diff(path, 2, axis=0)).max() <= 0.01 + 1e-6 * reach


def test_the_follower_arrives_without_overshoot() -> None:
    follower = Follower(1, frequency=12.0, bend=0.01)
    path = np.concatenate([follower.step(np.array([0.1], np.float32)) for _ in range(60)])
    assert path.max() < 0.1 * 1.02
    assert abs(path[-1] - 0.1) < 1e-3
