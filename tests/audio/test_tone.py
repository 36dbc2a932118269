"""The tone of a voice: its pitch to a few cents, whether it is bright, and the same however sound is cut."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.audio.tone import WINDOW, FrameTones, tone_of
from streamer.core.frames import FloatArray
from streamer.core.rates import SAMPLE_RATE, SAMPLES_PER_FRAME
from tests.fakes.sound import speech_like


def voice(hertz: float, falls: float = 1.0, samples: int = WINDOW) -> FloatArray:
    """Harmonics whose amplitude falls by that power."""
    time = np.arange(samples) / SAMPLE_RATE
    parts = [np.sin(2 * np.pi * hertz * k * time + k) / k**falls for k in range(1, int(4000 / hertz))]
    return np.asarray(0.1 * np.sum(parts, axis=0), np.float32)


@pytest.mark.parametrize("hertz", [75, 98, 131, 187, 240, 330, 400])
@pytest.mark.parametrize("falls", [0.5, 1.5])
def test_pitch_is_found_and_not_its_octaves(hertz: float, falls: float) -> None:
    found = tone_of(voice(hertz, falls))
    assert found is not None
    assert found.pitch == pytest.approx(np.log2(hertz), abs=0.03)


def test_a_bright_voice_is_told_from_a_dull_one_at_any_loudness() -> None:
    bright, dull, quiet = (
        tone_of(sound) for sound in (voice(150, 0.5), voice(150, 1.5), np.float32(0.1) * voice(150, 0.5))
    )
    assert bright is not None
    assert dull is not None
    assert quiet is not None
    assert bright.brightness > dull.brightness + 6
    assert quiet.brightness == pytest.approx(bright.brightness, abs=0.1)


def test_noise_and_silence_have_no_tone() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(WINDOW)
    assert tone_of(noise.astype(np.float32)) is None
    assert tone_of(np.zeros(WINDOW, np.float32)) is None
    assert tone_of(np.full(WINDOW, 0.5, np.float32)) is None


def test_however_sound_is_cut_its_tones_are_the_same_and_know_nothing_of_what_follows() -> None:
    sound = np.concatenate([speech_like(1.0), voice(120, samples=9_000), np.zeros(700, np.float32)])
    whole = FrameTones()
    tones = whole.push(sound) + whole.flush()
    assert len(tones) == -(-sound.size // SAMPLES_PER_FRAME)
    assert sum(tone is not None for tone in tones) > 10
    cut = FrameTones()
    pieces = [tone for part in np.array_split(sound, 97) for tone in cut.push(part)] + cut.flush()
    assert pieces == tones
    assert FrameTones().push(sound[: 20 * SAMPLES_PER_FRAME]) == tones[:20]
    cut.reset()
    assert cut.push(sound) == tones[: sound.size // SAMPLES_PER_FRAME]
