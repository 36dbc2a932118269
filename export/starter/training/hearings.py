"""Make stretches of synthetic speech, clean and disturbed, with a teacher's outputs for the clean ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from export.starter.training.expression_data import EDGE, PAST
from export.starter.training.expression_net import WINDOW, FieldNet
from export.starter.voices import augment
from export.starter.voices.takes import TakeMaker
from export.starter.voices.visemes import FIELDS
from export.starter.voices.voice_bank import VoiceBank
from streamer.core.rates import FPS, MEL_BANDS, MEL_RATE, SAMPLE_RATE, SAMPLES_PER_FRAME, window_start
from streamer.stages.mel import mel_spectrogram
from streamer.stages.mel_levelling import levelled

SECONDS = 10
FRAMES = SECONDS * FPS
SILENT, PAUSED = 0.04, 0.2  # share of the hearings without speech; share with a long pause
# Mel frames of voice and room heard before a clean hearing; share of the disturbed hearings that have them, too.
WARM, WARM_SHARE = 160, 0.5
BABBLERS = 3
Halves = NDArray[np.float16]

STARTS = torch.tensor([window_start(frame) + EDGE - PAST for frame in range(FRAMES)])  # starts of the teacher's windows


@dataclass(frozen=True)
class Hearing:
    """FRAMES video frames of sound: levelled mel frames [t, 80] with EDGE repeated at both ends, clean and disturbed;
    and the teacher's fields [FRAMES, len(FIELDS)] for the clean sound."""

    clean: Halves
    heard: Halves
    target: Tensor


@torch.no_grad()
def hearing(teacher: FieldNet, sound: augment.Sound, other: augment.Sound, warm: bool) -> Hearing:
    """Make a hearing of `sound` and of `other`, the same sound disturbed.

    The teacher's levelling has adapted to voice and room before the start; `warm`: whether the student's has, too.
    """
    clean, heard = _edged(_levelled(sound, WARM)), _edged(_levelled(other, WARM if warm else 0))
    whole = torch.from_numpy(clean.astype(np.float32)).T[None, None]
    return Hearing(clean, heard, teacher.forward_runs(whole, STARTS[None])[0])


class Hearings:
    """Endless source of hearings. bank: folder of the neural voices' utterances (see `voice_bank`), or None."""

    def __init__(self, teacher: FieldNet, seed: int, bank: Path | None = None) -> None:
        self._teacher, self._rng = teacher.eval(), np.random.default_rng(seed)
        self._takes = TakeMaker(seed, clean=True, bank=VoiceBank(bank) if bank else None, vowels=0.0)
        self._said: list[augment.Sound] = []

    def __iter__(self) -> Iterator[Hearing]:
        while True:
            yield self.make()

    def make(self) -> Hearing:
        """Make one hearing."""
        rng, sound = self._rng, self._sound()
        other = augment.disturb(rng, sound, self._babble(sound))
        return hearing(self._teacher, sound, other, rng.random() < WARM_SHARE)

    def _sound(self) -> augment.Sound:
        """Join lines of several voices, at full level, until FRAMES are full; rarely return silence."""
        rng, count = self._rng, FRAMES * SAMPLES_PER_FRAME
        if rng.random() < SILENT:
            return np.zeros(count, np.float32)
        parts: list[augment.Sound] = []
        while sum(map(len, parts)) < count:
            parts.append(augment.to_peak(self._takes.spoken(), -1.0))
        if rng.random() < PAUSED:
            parts.insert(int(rng.integers(len(parts))), np.zeros(int(rng.uniform(1, 4) * SAMPLE_RATE), np.float32))
        sound = np.concatenate(parts)[:count]
        self._said = [*self._said[1 - 4 * BABBLERS :], sound]
        return sound

    def _babble(self, sound: augment.Sound) -> augment.Sound | None:
        """Mix voices of earlier hearings; return None at first, when there are too few."""
        others = [said for said in self._said if said is not sound]
        if len(others) < BABBLERS:
            return None
        picked = self._rng.permutation(len(others))[:BABBLERS]
        return np.asarray(sum(np.roll(others[i], int(self._rng.integers(len(sound)))) for i in picked), np.float32)


def _levelled(sound: augment.Sound, warm: int) -> NDArray[np.float32]:
    """Compute mel frames of `sound`, levelled as if its last `warm` frames had preceded it."""
    mel = mel_spectrogram(sound)
    return levelled(np.concatenate([mel[len(mel) - warm :], mel]))[warm:]


def _edged(mel: NDArray[np.float32]) -> Halves:
    return np.pad(mel.astype(np.float16), ((EDGE, EDGE), (0, 0)), mode="edge")


class HearingPool:
    """Ring buffer of up to `most` hearings in memory; new ones replace the oldest."""

    def __init__(self, most: int) -> None:
        self._most, self._added = most, 0
        mel_frames = 1 + SECONDS * MEL_RATE + 2 * EDGE
        self._mel = torch.zeros(2, most, mel_frames, MEL_BANDS, dtype=torch.float16)
        self._target = torch.zeros(most, FRAMES, len(FIELDS))

    def __len__(self) -> int:
        return min(self._added, self._most)

    def add(self, hearing: Hearing) -> None:
        """Add one hearing."""
        place = self._added % self._most
        for mel, kept in zip((hearing.clean, hearing.heard), self._mel, strict=True):
            kept[place] = torch.from_numpy(mel)
        self._target[place] = hearing.target
        self._added += 1

    def windows(self, rng: np.random.Generator, count: int) -> Tensor:
        """Draw `count` of the teacher's windows of the disturbed sound, [count, 1, 80, WINDOW]."""
        which, frame = rng.integers(len(self), size=count), rng.integers(FRAMES, size=count)
        spans = STARTS[torch.from_numpy(frame)][:, None] + torch.arange(WINDOW)
        return self._mel[1][torch.from_numpy(which)[:, None], spans].float().transpose(1, 2)[:, None]

    def batch(self, rng: np.random.Generator, runs: int, length: int, clean: int, earlier: int) -> Batch:
        """Draw runs of `length` consecutive frames, `clean` of them clean. Windows start `earlier` mel frames before
        the teacher's.
        """
        which = torch.from_numpy(rng.integers(len(self), size=runs))[:, None]
        frames = torch.from_numpy(rng.integers(FRAMES - length + 1, size=runs))[:, None] + torch.arange(length)
        starts = STARTS[frames] - earlier
        first, inside = starts[:, :1], starts - starts[:, :1]
        spans = first + torch.arange(int(inside.max()) + WINDOW)
        heard = (torch.arange(runs) >= clean).long()[:, None]
        mel = self._mel[heard, which, spans].float().transpose(1, 2)[:, None]
        return Batch(mel, inside, self._target[which, frames])


@dataclass(frozen=True)
class Batch:
    """mel [runs, 1, 80, t], starts [runs, length] of windows in it, target [runs, length, len(FIELDS)]."""

    mel: Tensor
    starts: Tensor
    target: Tensor
