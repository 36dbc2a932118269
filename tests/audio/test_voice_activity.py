"""Whether somebody speaks: a recording of speech is, noise and silence are not; short pauses do not end it."""

from __future__ import annotations

import av
import numpy as np
import pytest
from av.audio.resampler import AudioResampler

from engines.voice_activity import CHUNK
from streamer.audio.voice_activity import CHUNK_MS, NeuralDetector, VoiceActivity
from streamer.core.frames import FloatArray
from tests import ROOT


@pytest.fixture(scope="module")
def speech() -> FloatArray:
    """Four seconds of a reader, at 16 kHz."""
    cutter = AudioResampler("s16", "mono", 16_000)
    with av.open(str(ROOT / "tests" / "data" / "speech.ogg")) as file:
        parts = [part.to_ndarray()[0] for frame in file.decode(audio=0) for part in cutter.resample(frame)]
    return np.asarray(np.concatenate(parts)[: 4 * 16_000] / 32768, np.float32)


def chunks(samples: FloatArray) -> list[FloatArray]:
    return [samples[start : start + CHUNK] for start in range(0, len(samples) - CHUNK, CHUNK)]


@pytest.mark.slow
def test_speech_is_told_from_noise_and_silence(speech: FloatArray) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=2 * 16_000).astype(np.float32) * 0.05
    hum = (0.2 * np.sin(2 * np.pi * 100 * np.arange(2 * 16_000) / 16_000)).astype(np.float32)
    detector = NeuralDetector()
    assert np.mean([detector(chunk) > 0.5 for chunk in chunks(speech)]) > 0.8
    for other in (noise, hum, np.zeros(2 * 16_000, np.float32)):
        fresh = NeuralDetector()
        assert np.mean([fresh(chunk) > 0.5 for chunk in chunks(other)]) < 0.1


def test_two_listeners_do_not_hear_each_other(speech: FloatArray) -> None:
    alone, one, other = NeuralDetector(), NeuralDetector(), NeuralDetector()
    expected = [alone(chunk) for chunk in chunks(speech[:16_000])]
    found = []
    for chunk in chunks(speech[:16_000]):
        found.append(one(chunk))
        other(np.zeros(CHUNK, np.float32))
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_voice_has_pauses_and_ends_after_a_longer_silence() -> None:
    voice = VoiceActivity(lambda samples: float(samples[0]))
    heard = []
    for probability in [0.0] * 5 + [0.9] * 2 + [0.1] * 2 + [0.9] * 10 + [0.1] * 10 + [0.9] * 5 + [0.1] * 25:
        voice.push(np.full(CHUNK, probability, np.float32))
        heard.append("pause" if voice.pausing else "voice" if voice.speaking else "")
    changes = [state for at, state in enumerate(heard) if at == 0 or state != heard[at - 1]]
    assert changes == ["", "voice", "pause", "voice", "pause", ""]
    assert heard.index("voice") == 11  # two likely pieces are a click
    ended = len(heard) - 1 - heard[::-1].index("pause")
    assert 500 <= (ended - (5 + 2 + 2 + 10 + 10 + 5)) * CHUNK_MS <= 600
