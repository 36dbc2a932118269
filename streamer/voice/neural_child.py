"""Child process for neural text to speech: `python -m streamer.voice.neural_child KIND PLACE`.

Each request is a line of JSON, {"text", "language"}. The reply is a line of JSON: {"rate", "bytes"}, followed by that
many bytes of mono s16le PCM, or {"error"}.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

Speak = Callable[[str, str], tuple[bytes, int]]

KOKORO_VOICE = "af_heart"
# Kokoro's language codes for short ones.
KOKORO_LANGUAGES = {"en": "en-us", "fr": "fr-fr", "pt": "pt-br", "zh": "cmn"}


def piper(place: str) -> Speak:
    """Load a Piper voice: an .onnx file with its .json beside it. It has one language, so `language` is ignored."""
    from piper import PiperVoice

    voice = PiperVoice.load(place)

    def speak(text: str, language: str) -> tuple[bytes, int]:
        return b"".join(chunk.audio_int16_bytes for chunk in voice.synthesize(text)), voice.config.sample_rate

    return speak


def kokoro(place: str) -> Speak:
    """Load Kokoro from a folder with its .onnx file and the .bin file of its voices."""
    from kokoro_onnx import Kokoro

    (model, *_), (voices, *_) = (sorted(Path(place).glob(pattern)) for pattern in ("*.onnx", "*.bin"))
    network = Kokoro(str(model), str(voices))

    def speak(text: str, language: str) -> tuple[bytes, int]:
        samples, rate = network.create(text, voice=KOKORO_VOICE, lang=KOKORO_LANGUAGES.get(language, language))
        return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes(), rate

    return speak


def main(kind: str, place: str) -> None:
    """Speak each request line until the end of the input."""
    speak = {"piper": piper, "kokoro": kokoro}[kind](place)
    for line in sys.stdin.buffer:
        wanted = json.loads(line)
        try:
            pcm, rate = speak(wanted["text"], wanted["language"])
        except Exception as error:  # each network has its own exception types
            pcm = b""
            head: dict[str, str | int] = {"error": " ".join(str(error).split())[:200] or type(error).__name__}
        else:
            head = {"rate": rate, "bytes": len(pcm)}
        sys.stdout.buffer.write(json.dumps(head).encode() + b"\n" + pcm)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
