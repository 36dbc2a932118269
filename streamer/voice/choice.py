"""Create the synthesiser selected by --voice."""

from __future__ import annotations

from pathlib import Path

from streamer.core.errors import ConfigError
from streamer.voice.espeak import Espeak
from streamer.voice.neural import NeuralVoice
from streamer.voice.synthesiser import Synthesiser

EXPECTED = "espeak, piper:MODEL.onnx or kokoro:FOLDER"


def open_voice(choice: str) -> Synthesiser | None:
    """Return the synthesiser for a value of --voice; None for eSpeak NG if it is not installed.

    Raises:
        ConfigError: the synthesiser is unknown, or its files do not exist.
    """
    kind, _, place = choice.partition(":")
    if choice == "espeak":
        return Espeak.installed()
    if kind not in ("piper", "kokoro") or not place:
        raise ConfigError(f"--voice {choice[:60]!r}; expected {EXPECTED}")
    if not Path(place).exists():
        raise ConfigError(f"--voice {kind}: {place} is not there")
    return NeuralVoice(kind, place)
