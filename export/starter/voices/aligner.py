"""Find the time of each phone of a recording by forced alignment: CMU PocketSphinx with the model in its wheel.

For voices that do not report the timing of phones. English only. Resolution 10 ms (P. Placeway et al. 1997, "The 1996
Hub-4 Sphinx-3 system", describes this family of recognisers; the package and its model are under BSD licences).
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.starter.voices.speech import ARPABET_TO_IPA, SILENCE, Phone, SpeechError
from streamer.core.rates import SAMPLE_RATE

FRAME = 0.01  # s
LEVEL = 0.7  # peak of the recogniser's input: its features depend on the level
NO_PHONE = ("sil", "+spn+", "+nsn+")


class Aligner:
    """One PocketSphinx decoder. Raises SpeechError if the package is not installed."""

    def __init__(self) -> None:
        try:
            from pocketsphinx import Decoder
        except ImportError as error:
            raise SpeechError("found no PocketSphinx; install the package pocketsphinx") from error
        self._decoder: Any = Decoder(lm=None, loglevel="FATAL")

    def align(self, samples: NDArray[np.float32], text: str) -> tuple[Phone, ...] | None:
        """Align float32 [n] at 16 kHz with `text`; return phones that tile it, or None if that fails.

        The words are aligned first, then the phones within them.
        """
        words = re.sub(r"[^a-z' ]+", " ", text.lower())
        pcm = (samples / max(float(np.abs(samples).max(initial=0.0)), 1e-6) * LEVEL * 32767).astype("<i2").tobytes()
        if any(self._decoder.lookup_word(word) is None for word in words.split()):
            return None
        try:
            self._decoder.set_align_text(words)
            self._decode(pcm)
            self._decoder.set_alignment()
            self._decode(pcm)
        except RuntimeError:
            return None
        found = [(phone.name.lower(), phone.start) for word in self._decoder.get_alignment() for phone in word]
        return _tiled(found, len(samples) / SAMPLE_RATE)

    def _decode(self, pcm: bytes) -> None:
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, full_utt=True)
        self._decoder.end_utt()


def _tiled(found: list[tuple[str, int]], end: float) -> tuple[Phone, ...]:
    """Convert (ARPABET name, first frame) pairs in order to IPA phones from 0 to `end` seconds."""
    starts = [0.0, *(min(frame * FRAME, end) for _, frame in found[1:]), end]
    symbols = [SILENCE if name in NO_PHONE else ARPABET_TO_IPA[name] for name, _ in found]
    phones = (Phone(symbol, starts[i], starts[i + 1]) for i, symbol in enumerate(symbols))
    return tuple(phone for phone in phones if phone.end > phone.start)
