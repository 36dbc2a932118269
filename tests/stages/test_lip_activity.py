"""Lips are busy with speech at once, through closures, and rest again when a pause lasts."""

from __future__ import annotations

import numpy as np

from streamer.core.frames import FloatArray
from streamer.stages.lip_activity import LipActivity

NAMES = ("eyeBlinkLeft", "jawOpen", "mouthLowerDownLeft", "mouthSmileLeft")
VOWEL, SHUT, IDLE = ([0.0, 0.4, 0.4, 0.0], [0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.5])


def levels(*frames: list[float]) -> FloatArray:
    lips = LipActivity(NAMES)
    return np.array([lips.step(np.array(frame, np.float32)) for frame in frames], np.float32)


def test_speech_makes_lips_busy_and_a_lasting_pause_frees_them() -> None:
    level = levels(*[VOWEL] * 12, *[SHUT] * 75)
    assert level[11] > 0.95
    assert level[-1] < 0.02
    assert (np.diff(level[:12]) > 0).all()
    assert (np.diff(level[12:]) < 0).all()


def test_a_closure_between_vowels_does_not_free_them() -> None:
    assert levels(*[VOWEL] * 12, *[SHUT] * 3, *[VOWEL] * 3)[12:].min() > 0.75


def test_nothing_but_speech_makes_them_busy() -> None:
    assert not levels(*[IDLE] * 20).any()


def test_it_comes_and_goes_without_a_jump() -> None:
    rng = np.random.default_rng(0)
    level = levels(*(rng.random((500, 4)) * rng.integers(0, 2, (500, 1))).tolist())
    assert np.abs(np.diff(level)).max() < 0.3
