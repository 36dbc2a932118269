"""How a person moves, read off landmarks: reach of the head, blinks, and little belief in little evidence."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.avatar.manner import BLINKS, REACH, Manner
from streamer.photo.clip_manner import USUAL_BLINKS, describe, manner_of

RATE = 12.5
EARS, MIDDLE_LINE = {454: (1, 0, 0), 234: (-1, 0, 0)}, {10: (0, -1, 0), 2: (0, 1, 0)}  # x right, y down
EYES = {33: (0, 0, 0), 133: (1, 0, 0), 362: (0, 0, 0), 263: (1, 0, 0)}


def film(seconds: float, pitch: float = 0.0, yaw: float = 0.0, blinks: int = 0) -> np.ndarray:
    """Landmarks [n, 478, 3] of a head that swings by so many degrees either way, once in 1.5 s."""
    count = round(seconds * RATE)
    swing = np.sin(2 * np.pi * np.arange(count) / RATE / 1.5)
    points = np.zeros((count, 478, 3), np.float32)
    for number, amount in enumerate(swing):
        up, across = np.radians((pitch * amount, yaw * amount))
        turn = np.array([[np.cos(across), 0, np.sin(across)], [0, 1, 0], [-np.sin(across), 0, np.cos(across)]])
        turn = turn @ np.array([[1, 0, 0], [0, np.cos(up), -np.sin(up)], [0, np.sin(up), np.cos(up)]])
        for index, place in (EARS | MIDDLE_LINE).items():
            points[number, index] = turn @ np.array(place, np.float64)
    for index, place in EYES.items():
        points[:, index] = place
    points[:, [145, 374], 1] = 0.3
    for start in np.linspace(3, count - 6, blinks).astype(int):
        points[start : start + 3, [145, 374], 1] = 0.05
    return points


def known(points: np.ndarray) -> Manner:
    found = manner_of(points, RATE)
    assert found is not None
    return found


def test_the_head_s_reach_is_that_of_the_clip() -> None:
    calm, usual, lively = (known(film(30, pitch=size, yaw=1.6 * size)) for size in (1.2, 4.5, 10.0))
    assert calm.pitch < 0.8 < usual.pitch < 1.4 < lively.pitch
    assert calm.yaw < usual.yaw < lively.yaw
    assert lively.roll == calm.roll == REACH[0]


def test_blinks_are_counted() -> None:
    seldom, usual, often = (known(film(30, blinks=count)).blinks * USUAL_BLINKS for count in (0, 8, 20))
    assert seldom == pytest.approx(USUAL_BLINKS * BLINKS[0])
    assert usual == pytest.approx(16, abs=1)
    assert often == pytest.approx((20 + USUAL_BLINKS / 6) * 1.5, abs=0.1)


def test_a_short_clip_says_less_than_a_long_one() -> None:
    short, long = (known(film(seconds, yaw=9.0, blinks=0)) for seconds in (5, 40))
    assert 1 < short.yaw < long.yaw
    assert long.blinks < short.blinks < 1
    assert manner_of(film(3), RATE) is None


def test_pictures_without_a_face_do_not_count() -> None:
    points = film(20, yaw=6.0)
    points[30:60] = np.nan
    assert known(points).yaw == pytest.approx(known(film(20, yaw=6.0)).yaw, rel=0.15)
    points[:] = np.nan
    assert manner_of(points, RATE) is None


def test_nobody_moves_out_of_bounds() -> None:
    wild = known(film(60, pitch=40, yaw=60, blinks=90))
    assert (wild.pitch, wild.yaw, wild.blinks) == (REACH[1], REACH[1], BLINKS[1])
    assert "1.8 times the usual yaw" in describe(wild)
    assert Manner.of({"manner": np.array([9, 0, 1, 50], np.float32)}) == Manner(REACH[1], REACH[0], 1.0, BLINKS[1])
    with pytest.raises(ValueError, match=r"manner is \[2\], expected \[4\]"):
        Manner.of({"manner": np.ones(2, np.float32)})
