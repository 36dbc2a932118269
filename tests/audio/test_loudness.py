"""Levels of frames: right in dB, and the same however the sound is cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.audio.loudness import SILENCE_DB, FrameLoudness, loudness_db
from streamer.core.rates import SAMPLES_PER_FRAME
from tests.fakes.sound import speech_like

CLIP = speech_like(0.5)


@pytest.mark.parametrize(
    ("amplitude", "db"), [(1.0, 0.0), (0.1, -20.0), (1e-3, -60.0), (1e-9, SILENCE_DB), (0.0, SILENCE_DB)]
)
def test_a_square_wave_has_the_level_of_its_amplitude(amplitude: float, db: float) -> None:
    wave = np.tile(np.array([amplitude, -amplitude], np.float32), SAMPLES_PER_FRAME // 2)
    assert loudness_db(wave) == pytest.approx(db, abs=1e-3)


def test_no_samples_are_silence() -> None:
    assert loudness_db(np.zeros(0, np.float32)) == SILENCE_DB


@given(st.lists(st.integers(0, 2000), max_size=8))
def test_any_cut_gives_the_same_levels(sizes: list[int]) -> None:
    """A last, partial frame is filled up with silence."""
    levels, start = FrameLoudness(), 0
    told: list[float] = []
    for size in sizes:
        told += levels.push(CLIP[start : start + size])
        start = min(start + size, len(CLIP))
    told += levels.flush()
    filled = np.concatenate([CLIP[:start], np.zeros(-start % SAMPLES_PER_FRAME, np.float32)])
    assert told == [loudness_db(frame) for frame in filled.reshape(-1, SAMPLES_PER_FRAME)]


def test_reset_forgets_the_partial_frame() -> None:
    levels = FrameLoudness()
    levels.push(np.ones(639, np.float32))
    levels.reset()
    assert levels.push(CLIP[:SAMPLES_PER_FRAME]) == [loudness_db(CLIP[:SAMPLES_PER_FRAME])]
