"""Stretches of synthetic conversation: their sound, and the head motion of people of several styles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from export.starter.motion.process import STYLES, motion, styles
from export.starter.motion.prosody import Prosody, prosody
from export.starter.training.pose_net import pooled
from export.starter.voices import augment
from export.starter.voices.corpus import english, espeak_line, line_in
from export.starter.voices.speech import SILENCE, Phone, Utterance, say_flite, shared_espeak
from export.starter.voices.takes import FLITE_PITCH, FLITE_VOICES, join_silences, trimmed
from export.starter.voices.voice_bank import VoiceBank
from streamer.core.rates import SAMPLE_RATE, SAMPLES_PER_FRAME
from streamer.stages.mel_windows import WindowShape, clip_windows

LINES = (3, 7)
NEURAL_SHARE, FLITE_SHARE = 0.5, 0.15
NOISY = 0.6  # share of stretches heard through a channel; the head follows the voice, not the noise
_PAUSES = ((0.15, 0.6), (0.6, 1.6), (1.6, 6.0))  # s
_PAUSE_SHARES = (0.6, 0.3, 0.1)


@dataclass(frozen=True)
class Conversation:
    """heard: pooled mel of each video frame, float16 [n, BANDS * SLOTS]. poses: of each mover, float32 [m, n, 6].

    movers: their styles, int64 [m].
    """

    heard: NDArray[np.float16]
    poses: NDArray[np.float32]
    movers: NDArray[np.int64]


class ConversationMaker:
    """Makes conversations from one random generator; `bank` holds neural voices."""

    def __init__(self, seed: int, shape: WindowShape, bank: Path | None = None) -> None:
        self._rng = np.random.default_rng(seed)
        self._bank = VoiceBank(bank) if bank else None
        self._shape = shape
        self._styles = styles()

    def make(self, movers: int) -> Conversation:
        """Make a stretch of some twenty seconds, with the motion of `movers` people of random styles."""
        sound, said = self.speak()
        heard = augment.channel(self._rng, sound) if self._rng.random() < NOISY else sound
        who = self._rng.integers(STYLES, size=movers)
        poses = np.stack([motion(self._rng, self._styles[style], said) for style in who])
        mel = pooled(torch.from_numpy(clip_windows(heard, self._shape)))
        return Conversation(mel.half().numpy(), poses.astype(np.float32), who)

    def speak(self) -> tuple[augment.Sound, Prosody]:
        """Synthesise lines of one voice, without channel or noise, and their prosody."""
        parts: list[augment.Sound] = []
        phones: list[Phone] = []
        for utterance in map(trimmed, self._lines()):
            self._add(parts, phones, utterance)
        self._pause(parts, phones)
        sound = np.concatenate(parts)
        sound = sound[: len(sound) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME]
        return sound, prosody(sound, join_silences(phones))

    def _add(self, parts: list[augment.Sound], phones: list[Phone], utterance: Utterance) -> None:
        self._pause(parts, phones)
        at = sum(map(len, parts)) / SAMPLE_RATE
        phones += [Phone(p.symbol, at + p.start, at + p.end) for p in utterance.phones]
        varied = augment.vary_effort(self._rng, augment.to_peak(utterance.samples, -3.0))
        parts.append(varied * np.float32(10 ** (self._rng.uniform(-4, 0) / 20)))

    def _pause(self, parts: list[augment.Sound], phones: list[Phone]) -> None:
        shortest, longest = _PAUSES[int(self._rng.choice(len(_PAUSES), p=_PAUSE_SHARES))]
        seconds = float(self._rng.uniform(shortest, longest))
        at = sum(map(len, parts)) / SAMPLE_RATE
        parts.append(np.zeros(int(seconds * SAMPLE_RATE), np.float32))
        phones.append(Phone(SILENCE, at, at + seconds))

    def _lines(self) -> list[Utterance]:
        rng, count = self._rng, int(self._rng.integers(*LINES))
        choice = rng.random()
        if self._bank is not None and choice < NEURAL_SHARE:
            return self._bank.lines(rng, count)
        if choice > 1 - FLITE_SHARE:
            voice = str(rng.choice(FLITE_VOICES))
            pitch = FLITE_PITCH.get(voice, 105.0) * float(rng.uniform(0.85, 1.3))
            stretch = float(rng.uniform(0.8, 1.2))
            return [say_flite(english(rng), voice, stretch, pitch) for _ in range(count)]
        first = espeak_line(rng)
        language = first.voice.partition("+")[0]
        lines = [first, *(line_in(rng, language) for _ in range(count - 1))]
        return [shared_espeak().say(x.text, first.voice, first.rate, first.pitch, first.pitch_range) for x in lines]
