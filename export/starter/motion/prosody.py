"""Features of speech that drive head motion: level, accents, and the limits of phrases.

Phones are known, as the speech is synthetic, so pauses of the text are not confused with closures of stops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.starter.voices.speech import BREATH, SILENCE, Phone
from export.starter.voices.visemes import VOWELS, classify
from streamer.audio.loudness import FrameLoudness, SpeechActivity
from streamer.core.rates import FPS, SAMPLE_RATE

SHORTEST_PAUSE = 0.16  # s of silence that separate phrases
ACCENT_DB = 1.0  # an accented vowel is louder than the phrase's median vowel by this ...
ACCENT_LENGTH = 1.15  # ... or longer by this factor
ACCENT_GAP = 0.28  # s between accents, at least
RANGE_DB = 30.0  # range of loudness below the loudest frames


@dataclass(frozen=True)
class Phrase:
    """Speech between two pauses, in seconds; `before` and `after` are the lengths of the pauses."""

    start: float
    end: float
    before: float
    after: float


@dataclass(frozen=True)
class Prosody:
    """level: speech activity of each video frame, float64 [n], 0..1; loudness: the same, not smoothed.

    accents: seconds, at the vowels' middles.
    """

    level: NDArray[np.float64]
    loudness: NDArray[np.float64]
    accents: tuple[float, ...]
    phrases: tuple[Phrase, ...]


def prosody(samples: NDArray[np.float32], phones: Sequence[Phone]) -> Prosody:
    """Analyse clean speech, float32 [n] at 16 kHz, with known phones."""
    follower = SpeechActivity()
    decibels = FrameLoudness().push(samples)
    level = np.array([follower.step(value) for value in decibels])
    loudness = np.clip(1 + (np.array(decibels) - np.percentile(decibels, 98)) / RANGE_DB, 0, 1)
    phrases = _phrases(phones, len(samples) / SAMPLE_RATE)
    accents = [at for phrase in phrases for at in _accents(samples, phones, phrase)]
    return Prosody(level, loudness, tuple(accents), tuple(phrases))


def frames(seconds: float) -> float:
    """Convert seconds to video frames."""
    return seconds * FPS


def _phrases(phones: Sequence[Phone], end: float) -> list[Phrase]:
    spoken = [p for p in phones if p.symbol not in (SILENCE, BREATH)]
    runs: list[list[float]] = []
    for phone in spoken:
        if runs and phone.start - runs[-1][1] < SHORTEST_PAUSE:
            runs[-1][1] = phone.end
        else:
            runs.append([phone.start, phone.end])
    edges = [0.0, *(edge for run in runs for edge in run), end]
    return [
        Phrase(edges[i], edges[i + 1], edges[i] - edges[i - 1], edges[i + 2] - edges[i + 1])
        for i in range(1, len(edges) - 2, 2)
    ]


def _accents(samples: NDArray[np.float32], phones: Sequence[Phone], phrase: Phrase) -> list[float]:
    """Return the times of prominent vowels, those louder or longer than usual in the phrase."""
    vowels = [
        p for p in phones if phrase.start <= p.start < phrase.end and any(c in VOWELS for c in classify(p.symbol))
    ]
    if not vowels:
        return []
    parts = [samples[int(p.start * SAMPLE_RATE) : max(int(p.end * SAMPLE_RATE), 1)] for p in vowels]
    loud = np.array([10 * np.log10(float(np.mean(part**2)) + 1e-9) if part.size else -90.0 for part in parts])
    long = np.array([p.end - p.start for p in vowels])
    prominent = (loud > np.median(loud) + ACCENT_DB) | (long > ACCENT_LENGTH * np.median(long))
    found: list[float] = []
    for vowel, is_prominent in zip(vowels, prominent, strict=True):
        at = (vowel.start + vowel.end) / 2
        if is_prominent and (not found or at - found[-1] >= ACCENT_GAP):
            found.append(at)
    return found
