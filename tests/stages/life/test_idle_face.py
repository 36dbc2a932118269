"""The face lives: it blinks as people do, closes its eyes fully, looks about with both, and repeats itself."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.core.frames import FloatArray
from streamer.core.rates import FPS
from streamer.stages.life.idle_face import IdleFace
from streamer.stages.life.idle_pose import LIMITS, MOST_BEND, HeadPose

NAMES = (
    "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft",
    "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft",
    "eyeLookUpRight", "jawOpen", "mouthSmileLeft", "mouthSmileRight",
)  # fmt: skip
QUIET, LOUD = -70.0, -15.0


def run(seed: int, loudness: list[float]) -> FloatArray:
    """Offsets over time [frames, units]."""
    face = IdleFace(seed, NAMES)
    return np.array([face.step(level) for level in loudness])


def column(offsets: FloatArray, name: str) -> FloatArray:
    return offsets[:, NAMES.index(name)]


def head(seed: int, loudness: list[float]) -> FloatArray:
    """Poses over time [frames, 6]."""
    pose = HeadPose(seed)
    return np.array([pose.step(level) for level in loudness])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_it_blinks_as_often_as_people_do_and_closes_both_eyes(seed: int) -> None:
    minutes = 5
    offsets = run(seed, [QUIET] * (60 * FPS * minutes))
    left, right = column(offsets, "eyeBlinkLeft"), column(offsets, "eyeBlinkRight")
    assert np.array_equal(left, right)
    closed = left > 0.95
    blinks = np.count_nonzero(closed[1:] & ~closed[:-1])
    assert 10 <= blinks / minutes <= 28
    assert closed.mean() < 0.05  # open nearly all the time


def test_some_people_blink_more_than_others() -> None:
    def count(often: float) -> int:
        face = IdleFace(3, NAMES, often=often)
        return len(blinks(column(np.array([face.step(QUIET) for _ in range(120 * FPS)]), "eyeBlinkLeft")))

    assert count(0.5) < 0.7 * count(1.0)
    assert count(2.0) > 1.5 * count(1.0)


def blinks(lids: FloatArray) -> list[FloatArray]:
    """Stretches in which the lids are on their way, each with its closures."""
    away = np.flatnonzero(lids > 0.15)
    return [lids[part] for part in np.split(away, np.flatnonzero(np.diff(away) > 1) + 1)]


def test_no_two_blinks_need_be_alike_and_none_is_long() -> None:
    found = blinks(column(run(7, [QUIET] * (300 * FPS)), "eyeBlinkLeft"))
    assert all(1 <= len(blink) <= 12 for blink in found)  # two in a row at most
    assert len({len(blink) for blink in found}) >= 3
    assert any(0.3 < blink.max() < 0.85 for blink in found)
    assert np.median([len(blink) for blink in found]) <= 5


def test_it_blinks_at_the_ends_of_phrases() -> None:
    phrase, pause = [LOUD] * 50, [QUIET] * 40
    lids = column(run(8, (phrase + pause) * 100), "eyeBlinkLeft")
    begun = np.flatnonzero((lids[1:] > 0.3) & (lids[:-1] <= 0.3))
    starts = np.count_nonzero((begun % 90 >= 50) & (begun % 90 < 70))  # while the voice dies away
    assert starts / len(begun) > 1.3 * 20 / 90


def test_the_eyes_look_the_same_way() -> None:
    offsets = run(1, [QUIET] * 2000)
    np.testing.assert_array_equal(column(offsets, "eyeLookOutLeft"), column(offsets, "eyeLookInRight"))
    np.testing.assert_array_equal(column(offsets, "eyeLookUpLeft"), column(offsets, "eyeLookUpRight"))
    assert column(offsets, "eyeLookOutLeft").max() > 0.02


def test_it_never_opens_the_mouth_and_stays_small() -> None:
    offsets = run(2, [LOUD, QUIET] * 1000)
    assert not column(offsets, "jawOpen").any()
    others = np.delete(offsets, [NAMES.index("eyeBlinkLeft"), NAMES.index("eyeBlinkRight")], axis=1)
    assert np.abs(others).max() < 0.4


def test_a_seed_repeats_itself_and_reset_starts_over() -> None:
    loudness = [QUIET] * 50 + [LOUD] * 100
    face, pose = IdleFace(3, NAMES), HeadPose(3)
    first = [face.step(level) for level in loudness]
    turns = [pose.step(level) for level in loudness]
    face.reset()
    pose.reset()
    np.testing.assert_array_equal(first, [face.step(level) for level in loudness])
    np.testing.assert_array_equal(turns, [pose.step(level) for level in loudness])
    np.testing.assert_array_equal(first, run(3, loudness))
    assert not np.array_equal(first, run(4, loudness))


def test_units_the_family_lacks_are_left_out() -> None:
    face = IdleFace(0, ("jawOpen", "eyeBlinkLeft"))
    offsets = np.array([face.step(QUIET) for _ in range(500)])
    assert offsets.shape == (500, 2)
    assert offsets[:, 1].max() > 0.95


@pytest.mark.parametrize("name", ["quiet", "loud", "steps", "noise", "nonsense"])
def test_the_head_never_jumps_whatever_it_hears(name: str) -> None:
    noise = np.random.default_rng(0).uniform(-90, 0, 3000)
    heard = {
        "quiet": [QUIET] * 3000,
        "loud": [LOUD] * 3000,
        "steps": ([QUIET] * 20 + [0.0] * 20) * 75,
        "noise": list(noise),
        "nonsense": [float("nan"), float("inf"), float("-inf")] * 1000,
    }[name]
    poses = head(5, heard)
    assert np.isfinite(poses).all()
    assert (np.abs(poses) <= LIMITS + 1e-6).all()
    assert np.abs(np.diff(poses[:, :3], 2, axis=0)).max() < MOST_BEND


@pytest.mark.slow
def test_the_head_is_alive_in_silence_and_moves_more_in_speech() -> None:
    quiet, loud = head(6, [QUIET] * 5000), head(6, ([LOUD] * 6 + [-35.0] * 4) * 500)
    assert quiet[:, 1].std() > 0.4
    assert loud[:, 1].std() > quiet[:, 1].std()
    assert np.abs(quiet[:100, :3]).max() < 6
