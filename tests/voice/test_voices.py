"""Synthesisers: what --voice takes, sentences, and networks in a process of their own, here with a small stand-in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamer.core.errors import ConfigError, VoiceError
from streamer.voice.choice import open_voice
from streamer.voice.neural import NeuralVoice
from streamer.voice.synthesiser import sentences

# As the packages have it: a tone for each letter, and a text that fails.
PIPER = """
import numpy as np
class Chunk:
    def __init__(self, samples): self.audio_int16_bytes = samples.astype("<i2").tobytes()
class PiperVoice:
    class config: sample_rate = 22050
    @classmethod
    def load(cls, path): open(path).close(); return cls()
    def synthesize(self, text):
        if "fail" in text: raise RuntimeError("no phonemes")
        if "die" in text: raise SystemExit(3)
        for _ in text.split(): yield Chunk(np.full(2205, 1000))
"""
KOKORO = """
import numpy as np
class Kokoro:
    def __init__(self, model, voices): assert model.endswith(".onnx") and voices.endswith(".bin")
    def create(self, text, voice, lang): return np.full(2400 * len(lang), 0.5, np.float32), 24000
"""


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins for both packages, and files of their models."""
    (tmp_path / "piper.py").write_text(PIPER)
    (tmp_path / "kokoro_onnx.py").write_text(KOKORO)
    for name in ("voice.onnx", "voices.bin"):
        (tmp_path / name).touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


@pytest.mark.process
async def test_piper_speaks_and_is_there_again_after_it_died(packages: Path) -> None:
    voice = open_voice(f"piper:{packages / 'voice.onnx'}")
    assert isinstance(voice, NeuralVoice)
    spoken = await voice.speak("two words", "en")
    assert (spoken.rate, len(spoken.pcm)) == (22_050, 2 * 2205 * 2)
    with pytest.raises(VoiceError, match="piper does not speak this text: no phonemes"):
        await voice.speak("fail", "en")
    with pytest.raises(VoiceError, match="its process has ended") as caught:
        await voice.speak("die", "en")
    assert caught.value.again
    assert len((await voice.speak("one", "en")).pcm) == 2205 * 2
    await voice.close()


@pytest.mark.process
async def test_kokoro_speaks_in_the_language_that_is_asked_for(packages: Path) -> None:
    voice = open_voice(f"kokoro:{packages}")
    assert voice is not None
    spoken = await voice.speak("hello", "en")  # en-us
    assert (spoken.rate, len(spoken.pcm)) == (24_000, 5 * 2400 * 2)
    assert np.frombuffer(spoken.pcm, "<i2")[0] == pytest.approx(16_383, abs=1)
    await voice.close()


@pytest.mark.process
async def test_a_package_that_is_not_installed_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kokoro_onnx.py").write_text("raise ImportError('not installed')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    voice = NeuralVoice("kokoro", str(tmp_path))
    with pytest.raises(VoiceError, match="kokoro did not speak the text: its process has ended"):
        await voice.speak("hello", "en")
    await voice.close()


@pytest.mark.parametrize("choice", ["", "festival", "piper", "piper:", "espeak:x", "piper:/nowhere/voice.onnx"])
def test_a_voice_that_is_not_there_is_reported(choice: str) -> None:
    with pytest.raises(ConfigError, match="--voice"):
        open_voice(choice)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "Hello there, all of you. How are you today? Fine!",
            ["Hello there, all of you.", "How are you today?", "Fine!"],
        ),
        ("No. Never ever again.", ["No. Never ever again."]),
        ("我们一起去公园散步，好不好？好。", ["我们一起去公园散步，好不好？", "好。"]),
        ("3.14 is no end", ["3.14 is no end"]),
    ],
)
def test_a_text_is_spoken_sentence_by_sentence(text: str, found: list[str]) -> None:
    assert sentences(text) == found
