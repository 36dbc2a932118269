"""Synthesise held vowels at any pitch and vocal-tract length, which are rare in synthesised speech.

A pulse train passes through cascaded resonators (Klatt 1980, "Software for a cascade/parallel formant synthesizer") at
the formants measured by Peterson & Barney 1952, with glides between them, and closed lips for /m/ and /b/.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from export.starter.voices.speech import SILENCE, Phone, Utterance
from streamer.core.rates import SAMPLE_RATE

FORMANTS = {  # Hz, means of 33 men
    "i": (270, 2290, 3010), "ɪ": (390, 1990, 2550), "ɛ": (530, 1840, 2480), "æ": (660, 1720, 2410),
    "ɑ": (730, 1090, 2440), "ɔ": (570, 840, 2410), "ʊ": (440, 1020, 2240), "u": (300, 870, 2240),
    "ʌ": (640, 1190, 2390), "ɝ": (490, 1350, 1690),
}  # fmt: skip
MURMUR = (250, 1100, 2200)  # of /m/
BANDWIDTHS = (70, 100, 150, 250)
HIGHER = 3500  # Hz, the fourth formant
BLOCK = 16  # samples with the same formants
GLIDE = 0.05  # s from one sound to the next
LONGEST = 0.6  # s
TRACT = (0.92, 1.3)  # resonances: from a big man's to a child's
PITCH = (80.0, 330.0)  # Hz


def say_vowels(rng: np.random.Generator) -> Utterance:
    """Synthesise three to eight vowels of one voice, one in four after /m/ or /b/."""
    symbols: list[str] = [SILENCE]
    for _ in range(int(rng.integers(3, 9))):
        if rng.random() < 0.25:
            symbols.append(str(rng.choice(["m", "b"])))
        symbols.append(str(rng.choice(list(FORMANTS))))
    symbols.append(SILENCE)
    lengths = [_length(rng, symbol) for symbol in symbols]
    edges = np.concatenate([[0.0], np.cumsum(lengths)])
    phones = tuple(Phone(symbol, float(edges[i]), float(edges[i + 1])) for i, symbol in enumerate(symbols))
    return Utterance(_sound(rng, phones), phones, "vowels")


def _length(rng: np.random.Generator, symbol: str) -> float:
    if symbol in FORMANTS:
        return float(rng.uniform(0.1, LONGEST))
    return 0.15 if symbol == SILENCE else float(rng.uniform(0.06, 0.12))


def _sound(rng: np.random.Generator, phones: tuple[Phone, ...]) -> NDArray[np.float32]:
    tract = float(rng.uniform(*TRACT))
    high = (tract - TRACT[0]) / (TRACT[1] - TRACT[0])  # small throats tend to have high voices
    share = float(np.clip(high + rng.normal(0, 0.25), 0, 1))
    pitch = PITCH[0] * (PITCH[1] / PITCH[0]) ** share
    knots = [edge for p in phones for edge in (p.start + GLIDE / 2, max(p.end - GLIDE / 2, p.start + GLIDE / 2))]
    blocks = int(phones[-1].end * SAMPLE_RATE) // BLOCK
    at = (np.arange(blocks) + 0.5) * BLOCK / SAMPLE_RATE
    wanted = tract * np.array([shape for p in _shapes(phones) for shape in (p, p)])
    tracks = np.stack([np.interp(at, knots, wanted[:, k]) for k in range(3)] + [np.full(blocks, tract * HIGHER)], 1)
    gains = np.interp(
        np.arange(blocks * BLOCK) / SAMPLE_RATE, knots, [_gain(p.symbol) for p in phones for _ in range(2)]
    )
    return _resonate(_pulses(rng, blocks * BLOCK, pitch), tracks, gains)


def _shapes(phones: tuple[Phone, ...]) -> list[tuple[int, int, int]]:
    """Return the formants of every phone; a pause has its neighbour's, so that onsets are continuous."""
    shapes = [FORMANTS.get(phone.symbol, MURMUR) for phone in phones]
    return [shapes[1], *shapes[1:-1], shapes[-2]]


def _gain(symbol: str) -> float:
    return {SILENCE: 0.0, "b": 0.03, "m": 0.25}.get(symbol, 1.0)


def _pulses(rng: np.random.Generator, count: int, pitch: float) -> NDArray[np.float64]:
    """Make the glottal source: pulses with intonation and vibrato, 12 dB an octave less radiation, and noise."""
    time = np.arange(count) / SAMPLE_RATE
    bend = np.interp(time, np.linspace(0, time[-1], 6), rng.normal(0, 0.08, 6))
    hertz = pitch * np.exp(bend + 0.015 * np.sin(2 * np.pi * rng.uniform(4, 6) * time))
    pulses = np.diff(np.floor(np.cumsum(hertz) / SAMPLE_RATE), prepend=0.0)
    tilt = rng.uniform(0.7, 0.95)
    return np.asarray(lfilter([1], [1, -tilt], pulses) + rng.uniform(0.001, 0.02) * rng.standard_normal(count))


def _resonate(
    source: NDArray[np.float64], tracks: NDArray[np.float64], gains: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Filter `source` by resonators with frequencies [blocks, 4] per block and gains [n]; normalise to peak 0.5."""
    sound = np.empty_like(source)
    states = [np.zeros(2) for _ in BANDWIDTHS]
    radius = np.exp(-np.pi * np.array(BANDWIDTHS) / SAMPLE_RATE)
    for block, formants in enumerate(tracks):
        span = slice(block * BLOCK, (block + 1) * BLOCK)
        part = source[span]
        for k, hertz in enumerate(formants):
            b, c = 2 * radius[k] * np.cos(2 * np.pi * hertz / SAMPLE_RATE), -(radius[k] ** 2)
            part, states[k] = lfilter([1 - b - c], [1, -b, -c], part, zi=states[k])
        sound[span] = part
    sound = np.diff(sound, prepend=0.0) * gains
    return np.asarray(0.5 * sound / max(float(np.abs(sound).max()), 1e-9), np.float32)
