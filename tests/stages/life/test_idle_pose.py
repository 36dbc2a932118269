"""The head: alive, gentle, never jumping, and the same again for the same seed and sound."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest

from streamer.core.frames import FloatArray
from streamer.core.rates import FPS
from streamer.stages.life.idle_pose import LIMITS, MOST_BEND, MOST_SPEED, POSE_NAMES, HeadPose

MINUTE = 60 * FPS


def motion(loudness: list[float], seed: int = 3) -> FloatArray:
    head = HeadPose(seed)
    return np.stack([head.step(level) for level in loudness])


def syllables(frames: int) -> list[float]:
    """Speech-like loudness: four syllables a second, and a pause of a second in every four."""
    return [-70.0 if i % (4 * FPS) > 3 * FPS else -30 + 14 * math.sin(2 * math.pi * 4 * i / FPS) for i in range(frames)]


LOUDNESS = {
    "silence": [-90.0] * MINUTE,
    "speech": syllables(MINUTE),
    "steps": [0.0 if i // 10 % 2 else -90.0 for i in range(MINUTE)],
    "every other frame": [0.0 if i % 2 else -90.0 for i in range(MINUTE)],
    "broken meter": [math.nan, math.inf, -math.inf] * (MINUTE // 3),
}


@cache
def a_minute(name: str, seed: int) -> FloatArray:
    """The motion of the loudness called so."""
    return motion(LOUDNESS[name], seed)


@pytest.mark.parametrize("name", LOUDNESS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_loudness_makes_the_head_jump_or_leave_its_range(name: str, seed: int) -> None:
    poses = a_minute(name, seed)
    assert np.isfinite(poses).all()
    assert (np.abs(poses) <= LIMITS).all()
    angles, shifts = poses[:, :3], poses[:, 3:]
    assert np.abs(np.diff(angles, axis=0)).max() < MOST_SPEED
    assert np.abs(np.diff(angles, 2, axis=0)).max() < MOST_BEND
    assert np.abs(np.diff(shifts, 2, axis=0)).max() < 0.003


def test_the_first_frames_are_near_the_portrait() -> None:
    poses = motion(LOUDNESS["speech"])
    assert np.abs(poses[0]).max() < 0.2
    assert np.abs(np.diff(poses[:5], axis=0)).max() < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["silence", "speech"])
def test_the_head_looks_up_rather_than_down(name: str) -> None:
    """A face that looks down for long looks stern."""
    pitch = np.concatenate([a_minute(name, seed)[:, 0] for seed in range(8)])
    assert -1.0 < pitch.mean() < 0.0
    assert (pitch > 3.0).mean() < 0.02


@pytest.mark.slow
def test_a_speaking_head_moves_more_than_a_silent_one() -> None:
    silent, speaking = (
        np.mean([np.abs(np.diff(a_minute(name, seed)[:, :3], axis=0)).mean() for seed in range(8)])
        for name in ("silence", "speech")
    )
    assert speaking > 1.3 * silent


def test_a_silent_head_is_never_frozen() -> None:
    poses = motion(LOUDNESS["silence"])
    for start in range(0, MINUTE - 2 * FPS, 2 * FPS):
        assert np.ptp(poses[start : start + 2 * FPS], axis=0).max() > 0.02


def test_the_microphones_gain_does_not_matter() -> None:
    speech = syllables(MINUTE)
    assert np.allclose(motion(speech), motion([level - 12 for level in speech]), atol=1e-5)


@pytest.mark.slow
def test_same_seed_and_sound_give_the_same_motion_and_another_seed_another() -> None:
    speech = LOUDNESS["speech"]
    assert np.array_equal(motion(speech, seed=5), motion(speech, seed=5))
    assert not np.allclose(motion(speech, seed=5), motion(speech, seed=6), atol=0.1)


@pytest.mark.slow
def test_energy_scales_the_motion_and_none_is_a_still_head() -> None:
    def spread(energy: float) -> float:
        head = HeadPose(4, energy)
        return float(np.std([head.step(level)[1] for level in LOUDNESS["speech"]]))

    assert spread(0.0) == 0.0
    assert 0.3 * spread(1.0) < spread(0.5) < 0.7 * spread(1.0)
    assert spread(2.0) > 1.3 * spread(1.0)


@pytest.mark.parametrize("seed", range(4))
def test_a_speaking_head_moves_as_people_s_do(seed: int) -> None:
    """Standard deviations and coupling of a few real speakers; see `idle_pose`."""
    poses, loudness = a_minute("speech", seed), np.array(LOUDNESS["speech"])
    pitch, yaw = poses[:, 0].std(), poses[:, 1].std()
    assert 1.0 < pitch < 6.8
    assert 1.5 < yaw < 9.9
    together = [np.corrcoef(poses[lag:, 0], loudness[: len(loudness) - lag])[0, 1] for lag in range(10)]
    assert 0.12 < max(map(abs, together)) < 0.8


def test_reset_starts_over() -> None:
    head = HeadPose(9)
    first = [head.step(level) for level in LOUDNESS["speech"][:200]]
    head.reset()
    assert np.array_equal(first, [head.step(level) for level in LOUDNESS["speech"][:200]])


def test_later_sound_does_not_change_earlier_poses() -> None:
    speech = LOUDNESS["speech"]
    assert np.array_equal(motion(speech[:300]), motion([*speech[:300], *LOUDNESS["steps"]])[:300])


def test_a_pose_has_the_six_named_values() -> None:
    pose = HeadPose(0).step(-40.0)
    assert pose.shape == (len(POSE_NAMES),)
    assert pose.dtype == np.float32
