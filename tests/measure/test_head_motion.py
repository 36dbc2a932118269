"""Head motion of known curves: spread, speed, and the coupling with loudness with its lag."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.core.rates import FPS
from streamer.measure.head_motion import measure

RNG = np.random.default_rng(1)
LOUD = -40 + 20 * np.sin(np.arange(300) / 7.3) + RNG.normal(0, 1, 300)


def test_a_head_that_rises_with_the_voice_three_frames_late() -> None:
    pitch = -0.1 * np.roll(LOUD, 3)
    poses = np.stack([pitch, 5 * np.sin(np.arange(300) * 2 * np.pi / FPS), np.zeros(300)], axis=1)
    found = measure(poses[3:].astype(np.float32), list(LOUD[3:]))
    assert found.loudness_lag_ms == 120
    assert found.loudness_r > 0.98
    assert found.yaw_spread == pytest.approx(5 / 2**0.5, abs=0.1)
    assert found.yaw_speed == pytest.approx(2 * np.pi * 5, rel=0.05)
    assert found.roll_spread == 0.0
    assert found.inside() == {"yaw_spread": True, "pitch_spread": False, "yaw_speed": True, "loudness_r": False}


def test_beats_on_the_voice_s_onsets_are_above_chance_and_others_are_not() -> None:
    frames = np.arange(1000)
    onsets = np.flatnonzero(RNG.random(1000) < 0.05)
    loud, nod = np.full(1000, -50.0), np.zeros(1000)
    for onset in onsets:
        loud[onset : onset + 8] = -15
        nod += np.exp(-0.5 * ((frames - onset - 1) / 2.5) ** 2)
    poses = np.stack([4 * nod, np.zeros(1000), np.zeros(1000)], axis=1).astype(np.float32)
    with_voice, without = measure(poses, list(loud)), measure(np.roll(poses, 37, axis=0), list(loud))
    assert with_voice.beats > 0.1
    assert with_voice.beats > without.beats + 0.1


def test_silence_and_a_head_that_is_still_give_no_number_that_is_none() -> None:
    found = measure(np.zeros((200, 6), np.float32), [float("nan")] * 200)
    assert (found.loudness_r, found.beats, found.pitch_spread) == (0.0, 0.0, 0.0)


def test_too_little_is_refused() -> None:
    with pytest.raises(ValueError, match="99 frames"):
        measure(np.zeros((99, 6), np.float32), [0.0] * 120)
