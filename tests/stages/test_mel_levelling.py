"""Levelled features: the same speech looks the same through any microphone, and nothing else is made like it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.core.frames import FloatArray
from streamer.core.rates import MEL_BANDS, MEL_RATE, SAMPLE_RATE
from streamer.stages.mel import mel_spectrogram
from streamer.stages.mel_levelling import UNIT_DB, MelLeveller, levelled
from tests.fakes.sound import speech_like

SPEECH = 3 * speech_like(6.0)
MEL = mel_spectrogram(SPEECH)
STEADY = slice(MEL_RATE, None)  # from one second on
PAUSES = np.concatenate([np.arange(72, 78) + 100 * k for k in range(1, 4)])  # frames inside the clip's gaps


def noise(seconds: float, level_db: float, seed: int = 0) -> FloatArray:
    samples = np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE)) * 10 ** (level_db / 20)
    return samples.astype(np.float32)


def heard(sound: FloatArray) -> FloatArray:
    return levelled(mel_spectrogram(sound))


def loudest(mel: FloatArray) -> float:
    """The level of the loud parts."""
    return float(np.percentile(mel.max(axis=1), 80))


@pytest.mark.parametrize("gain_db", [-30, -20, -10, 6])
def test_speech_has_one_level_within_a_second_whatever_the_microphone(gain_db: int) -> None:
    other = heard(SPEECH * np.float32(10 ** (gain_db / 20)))
    expected = heard(SPEECH)
    assert abs(loudest(other[STEADY]) - loudest(expected[STEADY])) < 2 / UNIT_DB
    raw = abs(loudest(mel_spectrogram(SPEECH * np.float32(10 ** (gain_db / 20)))) - loudest(MEL)) * UNIT_DB
    assert raw > 5  # the microphone does change what is not levelled


def test_silence_stays_silence() -> None:
    assert (heard(np.zeros(2 * SAMPLE_RATE, np.float32)) == -4).all()


@pytest.mark.parametrize("level_db", [-80, -60, -45])
def test_a_room_without_speech_is_not_made_loud(level_db: int) -> None:
    room = noise(4, level_db)
    assert heard(room)[STEADY].mean() < mel_spectrogram(room)[STEADY].mean()
    assert heard(room)[2 * MEL_RATE :].max() < -1.0


def test_noise_is_taken_from_speech_and_its_pauses() -> None:
    power = 20 * np.log10(np.sqrt((SPEECH**2).mean()))
    mixed = SPEECH + noise(6, power - 15)
    raw, clean = mel_spectrogram(mixed), heard(mixed)
    above = [(loudest(mel[STEADY]) - float(np.median(mel[PAUSES]))) * UNIT_DB for mel in (raw, clean)]
    assert above[1] > above[0] + 6


@pytest.mark.parametrize("seconds", [0.005, 0.3], ids=["click", "cough"])
def test_a_click_or_a_cough_does_not_move_the_level_of_what_follows(seconds: float) -> None:
    at = round(3.8 * SAMPLE_RATE)
    disturbed = SPEECH.copy()
    burst = noise(seconds, -3)
    disturbed[at : at + len(burst)] += burst
    after = slice(round(4.3 * MEL_RATE), None)
    assert abs(loudest(heard(disturbed)[after]) - loudest(heard(SPEECH)[after])) < 2 / UNIT_DB


def test_typing_in_a_still_room_does_not_open_the_gain() -> None:
    still = noise(4, -75)
    typed = still.copy()
    for at in range(SAMPLE_RATE, 4 * SAMPLE_RATE - 80, SAMPLE_RATE // 5):
        typed[at : at + 80] += noise(0.005, -40, seed=at)
    begins = slice(4 * MEL_RATE, round(4.2 * MEL_RATE))  # the first syllable that follows
    first, second = (heard(np.concatenate([room, SPEECH]))[begins] for room in (still, typed))
    assert abs(loudest(first) - loudest(second)) < 3 / UNIT_DB


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 200), max_size=12))
def test_any_cut_gives_the_same_frames_and_none_depends_on_a_later_one(sizes: list[int]) -> None:
    leveller, whole = MelLeveller(), levelled(MEL)
    at = 0
    for size in sizes:
        part = leveller.push(MEL[at : at + size])
        np.testing.assert_allclose(part, whole[at : at + size], atol=1e-6)
        at += size


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), level=st.floats(-4, 4))
def test_any_features_stay_in_range(seed: int, level: float) -> None:
    rng = np.random.default_rng(seed)
    mel = np.clip(rng.standard_normal((60, MEL_BANDS)) * 2 + level, -4, 4).astype(np.float32)
    mel[rng.integers(0, 60, 20)] = rng.choice([-4.0, 4.0])
    out = levelled(mel)
    assert np.isfinite(out).all()
    assert np.abs(out).max() <= 4
