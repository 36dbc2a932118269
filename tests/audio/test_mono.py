"""Two channels become one without losing what is said, whatever their phase."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.audio.mono import MonoMix
from streamer.core.frames import FloatArray
from streamer.core.rates import SAMPLE_RATE
from tests.fakes.sound import chunks, speech_like

SPEECH = 3 * speech_like(2.0)
SETTLED = SAMPLE_RATE // 5


def mixed(left: FloatArray, right: FloatArray) -> FloatArray:
    return MonoMix(SAMPLE_RATE).push(np.stack([left, right], axis=1).astype(np.float32))


def level(sound: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(sound[SETTLED:]))))


def test_the_same_on_both_sides_stays_as_it_is() -> None:
    assert np.array_equal(mixed(SPEECH, SPEECH), SPEECH)


@pytest.mark.parametrize("right", [-1.0, -0.5])
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_opposite_channels_do_not_cancel(right: float, noise: float) -> None:
    other = right * SPEECH + noise * np.random.default_rng(0).normal(size=SPEECH.size).astype(np.float32)
    assert level(mixed(SPEECH, other)) == pytest.approx((1 - right) / 2 * level(SPEECH), rel=0.05)


def test_a_cable_that_is_turned_on_the_way_costs_a_moment() -> None:
    other = np.concatenate([SPEECH[:SAMPLE_RATE], -SPEECH[SAMPLE_RATE:]])
    heard = mixed(SPEECH, other)
    assert level(heard[SAMPLE_RATE:]) == pytest.approx(level(SPEECH[SAMPLE_RATE:]), rel=0.05)


def test_two_speakers_are_both_heard() -> None:
    other = 3 * speech_like(2.0, seed=5)
    heard = mixed(SPEECH, other)
    for one in (SPEECH, other):
        assert np.corrcoef(heard, one)[0, 1] > 0.4


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3000))
def test_any_chunks_give_the_same(size: int) -> None:
    stereo = np.stack([SPEECH, -SPEECH], axis=1)
    mix = MonoMix(SAMPLE_RATE)
    parts = np.concatenate([mix.push(chunk) for chunk in chunks(stereo, size)])
    assert np.allclose(parts, mixed(SPEECH, -SPEECH), atol=1e-6)
