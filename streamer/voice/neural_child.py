"""The process of a speaking network: `python -m streamer.voice.neural_child KIND PLACE`.

A line of JSON in, {"text", "language"}; a line of JSON out, {"rate", "bytes"} and so many bytes of mono s16le PCM, or
{"error"}.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

Speak = Callable[[str, str], tuple[bytes, int]]

KOKORO_VOICE = "af_heart"
# Kokoro's names of languages that the short ones mean.
KOKORO_LANGUAGES = {"en": "en-us", "fr": "fr-fr", "pt": "pt-br", "zh": "cmn"}


def piper(place: str) -> Speak:
    """A Piper voice: its .onnx, with the .json beside it. It has one language."""
    from piper import PiperVoice

    voice = PiperVoice.load(place)

    def speak(text: str, language: str) -> tuple[bytes, int]:
        return b"".join(chunk.audio_int16_bytes for chunk in voice.synthesize(text)), voice.config.sample_rate

    return speak


def kokoro(place: str) -> Speak:
    """Kokoro: a folder with its .onnx and the .bin of its voices."""
    from kokoro_onnx import Kokoro

    (model, *_), (voices, *_) = (sorted(Path(place).glob(pattern)) for pattern in ("*.onnx", "*.bin"))
    network = Kokoro(str(model), str(voices))

    def speak(text: str, language: str) -> tuple[bytes, int]:
        samples, rate = network.create(text, voice=KOKORO_VOICE, lang=KOKORO_LANGUAGES.get(language, language))
        return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes(), rate

    return speak


def main(kind: str, place: str) -> None:
    """Speak each line of the input, until its end."""
    speak = {"piper": piper, "kokoro": kokoro}[kind](place)
    for line in sys.stdin.buffer:
        wanted = json.loads(line)
        try:
            pcm, rate = speak(wanted["text"], wanted["language"])
        except Exception as error:  # of the network's own kinds
            pcm = b""
            head: dict[str, str | int] = {"error": " ".join(str(error).split())[:200] or type(error).__name__}
        else:
            head = {"rate": rate, "bytes": len(pcm)}
        sys.stdout.buffer.write(json.dumps(head).encode() + b"\n" + pcm)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
