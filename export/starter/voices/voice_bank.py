"""Store utterances of neural voices on disk: they are slow to make, and many takes reuse them with variations."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from engines.files import replacing
from export.starter.voices.corpus import common_words, english
from export.starter.voices.kokoro import Kokoro
from export.starter.voices.shards import make_all
from export.starter.voices.speech import Phone, Utterance
from streamer.core.rates import SAMPLE_RATE

SHARD_MINUTES = 5
LINES = 4  # consecutive lines of a voice
SLOWEST, FASTEST = 0.75, 1.3


def make_shard(path: Path, seed: int, folder: Path, held_out: bool) -> Path:
    """Write one shard of about SHARD_MINUTES: samples int16, and as JSON each utterance's voice, length and phones."""
    rng, kokoro = np.random.default_rng(seed), Kokoro(folder)
    said: list[Utterance] = []
    total = 0
    while total < SHARD_MINUTES * 60 * SAMPLE_RATE:
        voice, speed = kokoro.pick_voice(rng, held_out), float(rng.uniform(SLOWEST, FASTEST))
        for _ in range(LINES):
            text = english(rng) if rng.random() < 0.5 else common_words(rng)
            utterance = kokoro.say(text, voice, speed * float(rng.uniform(0.93, 1.07)))
            if utterance is not None:
                said.append(utterance)
                total += len(utterance.samples)
    listing = [{"voice": u.voice, "length": len(u.samples), "phones": [asdict(p) for p in u.phones]} for u in said]
    sound = np.concatenate([u.samples for u in said])
    with replacing(path) as partial:
        np.savez(partial, samples=(sound * 32767).astype(np.int16), listing=np.array(json.dumps(listing)))
    return path


def make_bank(folder: Path, minutes: int, seed: int, kokoro: Path, held_out: bool = False, workers: int = 2) -> None:
    """Make all shards of a bank; existing ones are kept. Shows progress on standard error."""
    make_all(make_shard, folder, -(-minutes // SHARD_MINUTES), seed, (kokoro, held_out), workers)


class VoiceBank:
    """The utterances of a bank, by voice."""

    def __init__(self, folder: Path) -> None:
        self._samples: list[np.ndarray[tuple[int], np.dtype[np.int16]]] = []
        self._runs: list[list[tuple[int, int, dict[str, object]]]] = []
        for number, path in enumerate(sorted(folder.glob("[0-9]*[0-9].npz"))):
            with np.load(path, allow_pickle=False) as shard:
                self._samples.append(shard["samples"])
                listing = json.loads(str(shard["listing"]))
            at, last = 0, None
            for entry in listing:
                if entry["voice"] != last or len(self._runs[-1]) == LINES:
                    self._runs.append([])
                self._runs[-1].append((number, at, entry))
                at, last = at + entry["length"], entry["voice"]

    def lines(self, rng: np.random.Generator, count: int) -> list[Utterance]:
        """Read up to `count` utterances of one voice."""
        run = self._runs[int(rng.integers(len(self._runs)))]
        picked = rng.permutation(len(run))[:count]
        return [self._utterance(*run[int(index)]) for index in picked]

    def _utterance(self, number: int, at: int, entry: dict[str, object]) -> Utterance:
        samples = self._samples[number][at : at + int(str(entry["length"]))].astype(np.float32) / np.float32(32767)
        listed: list[dict[str, object]] = entry["phones"]  # type: ignore[assignment]
        phones = tuple(Phone(str(p["symbol"]), float(str(p["start"])), float(str(p["end"]))) for p in listed)
        return Utterance(samples, phones, str(entry["voice"]))
