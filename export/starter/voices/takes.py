"""Make training takes: a few lines of speech through a random channel, with the matching mouth shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.starter.voices import augment
from export.starter.voices.corpus import english, espeak_line, line_in
from export.starter.voices.speech import BREATH, SILENCE, Phone, Utterance, say_flite, shared_espeak
from export.starter.voices.visemes import FIELDS, VOWELS, classify, mouth_fields
from export.starter.voices.voice_bank import VoiceBank
from export.starter.voices.vowels import say_vowels
from streamer.core.rates import SAMPLE_RATE, SAMPLES_PER_FRAME
from streamer.stages.mel import mel_spectrogram

FLITE_VOICES = ("slt", "awb", "kal")
FLITE_PITCH = {"slt": 170.0}  # Hz; the men's voices are at about 105
HELD_OUT_FLITE, HELD_OUT_LANGUAGE = "rms", "it"
EFFORT_PER_DB = 0.03  # additional opening of a vowel per dB above the utterance's median vowel
LEAST_EFFORT, MOST_EFFORT = 0.75, 1.3
# Lead of the mouth over the sound in seconds. Lips do lead (Chandrasekaran et al. 2009; Schwartz & Savariaux 2014: by
# about 70 ms in running speech), and viewers notice an early sound sooner than an early picture (ITU-R BT.1359: 45 ms
# against 125 ms). A closure is audible at once, so it leads less.
LEAD, CONTACT_LEAD = 0.08, 0.04
SILENT_TAKES = 0.05  # share of takes without speech: the mouth rests
NEURAL_SHARE, FLITE_SHARE, VOWEL_SHARE = 0.52, 0.22, 0.06  # of the takes with speech; the rest is eSpeak
BREATHS = 0.25  # share of the sufficiently long pauses with a breath
BREATH_LENGTH = (0.18, 0.5)  # s
BREATH_DB = (-26.0, -12.0)  # relative to the voice; fainter sound counts as room noise, with a shut mouth


@dataclass(frozen=True)
class Take:
    """A take: mel frames [t, 80] in float16 (half the memory, error below 0.002), and phones.

    effort: one factor for each of `phones`, see `vowel_effort`. frames: video frames.
    """

    mel: NDArray[np.float16]
    phones: Sequence[Phone]
    effort: Sequence[float]
    frames: int

    def fields(self) -> NDArray[np.float32]:
        """Compute the viseme fields, [frames, len(FIELDS)]."""
        fields = mouth_fields(self.phones, self.frames, self.effort, LEAD, CONTACT_LEAD)
        return np.stack([fields[name] for name in FIELDS], axis=1).astype(np.float32)


def vowel_effort(utterance: Utterance) -> list[float]:
    """Compute one factor per phone: louder vowels open wider, as in stressed and in careful speech."""
    levels: list[float | None] = []
    for phone in utterance.phones:
        part = utterance.samples[int(phone.start * SAMPLE_RATE) : int(phone.end * SAMPLE_RATE)]
        vowel = any(name in VOWELS for name in classify(phone.symbol)) and part.size
        levels.append(float(10 * np.log10((part**2).mean() + 1e-9)) if vowel else None)
    known = [level for level in levels if level is not None]
    middle = float(np.median(known)) if known else 0.0
    factor = (1.0 if level is None else 1 + EFFORT_PER_DB * (level - middle) for level in levels)
    return [float(np.clip(value, LEAST_EFFORT, MOST_EFFORT)) for value in factor]


class TakeMaker:
    """Makes takes from one random generator.

    held_out: use the validation voices instead of the training ones, only those of `bank` if it is given. clean: leave
    out the channel. bank: the neural voices.
    """

    def __init__(
        self,
        seed: int,
        held_out: bool = False,
        clean: bool = False,
        bank: VoiceBank | None = None,
        vowels: float = VOWEL_SHARE,
    ) -> None:
        self._bank, self._vowels = bank, vowels
        self._rng = np.random.default_rng(seed)
        self._espeak = shared_espeak()
        self._held_out = held_out
        self._clean = clean
        self._babble = np.zeros(0, np.float32)

    def make(self) -> Take:
        """Make one take of 2 to 20 seconds."""
        rng = self._rng
        if not self._held_out and rng.random() < SILENT_TAKES:
            count = int(rng.uniform(2, 5) * SAMPLE_RATE)
            return self._finish(np.zeros(count, np.float32), [Phone(SILENCE, 0.0, count / SAMPLE_RATE)], [1.0])
        sound, phones, effort = self._speak()
        sound, exact = self._shifted(sound)
        return self._finish(sound, [Phone(p.symbol, p.start / exact, p.end / exact) for p in phones], effort)

    def spoken(self) -> augment.Sound:
        """Make only the sound of one take of speech."""
        return self._shifted(self._speak()[0])[0]

    def _shifted(self, sound: augment.Sound) -> tuple[augment.Sound, float]:
        return augment.shift_voice(augment.to_peak(sound, -1.0), float(self._rng.uniform(0.82, 1.22)))

    def _speak(self) -> tuple[augment.Sound, list[Phone], list[float]]:
        """Speak one to three lines in one voice with pauses around them."""
        parts: list[augment.Sound] = []
        phones: list[Phone] = []
        effort: list[float] = []
        for utterance in map(trimmed, self._lines()):
            pause, silent = self._pause(utterance)
            at = sum(map(len, parts)) / SAMPLE_RATE
            phones += [Phone(p.symbol, at + p.start, at + p.end) for p in silent]
            at = phones[-1].end
            phones += [Phone(p.symbol, at + p.start, at + p.end) for p in utterance.phones]
            effort += [*[1.0] * len(silent), *vowel_effort(utterance)]
            parts += [pause, utterance.samples]
        end = sum(map(len, parts)) / SAMPLE_RATE
        parts.append(np.zeros(int(self._rng.uniform(0.3, 1.0) * SAMPLE_RATE), np.float32))
        phones.append(Phone(SILENCE, end, end + len(parts[-1]) / SAMPLE_RATE))
        return np.concatenate(parts), join_silences(phones), join_efforts(phones, [*effort, 1.0])

    def _pause(self, before: Utterance) -> tuple[augment.Sound, list[Phone]]:
        """Make the pause before an utterance: silence, or silence and a breath."""
        rng, seconds = self._rng, float(self._rng.uniform(0.1, 1.0))
        pause = np.zeros(int(seconds * SAMPLE_RATE), np.float32)
        end, length = len(pause) / SAMPLE_RATE, float(rng.uniform(*BREATH_LENGTH))
        rest = float(rng.uniform(0.02, 0.12))  # from the breath to the voice
        start = end - length - rest
        if start < 0.1 or rng.random() > BREATHS:
            return pause, [Phone(SILENCE, 0.0, end)]
        level = np.sqrt((before.samples**2).mean()) * 10 ** (rng.uniform(*BREATH_DB) / 20)
        air = augment.breath(rng, int(length * SAMPLE_RATE)) * np.float32(level)
        pause[int(start * SAMPLE_RATE) :][: len(air)] += air
        return pause, [Phone(SILENCE, 0.0, start), Phone(BREATH, start, end)]

    def _lines(self) -> list[Utterance]:
        rng, count = self._rng, int(self._rng.integers(1, 4))
        choice = rng.random()
        if self._bank is not None and (self._held_out or choice < NEURAL_SHARE):
            return self._bank.lines(rng, count)
        if not self._held_out and choice > 1 - self._vowels:
            return [say_vowels(rng) for _ in range(count)]
        if rng.random() < FLITE_SHARE / (1 - NEURAL_SHARE - self._vowels):
            voice = HELD_OUT_FLITE if self._held_out else str(rng.choice(FLITE_VOICES))
            stretch = float(rng.uniform(0.7, 1.3))
            pitch = FLITE_PITCH.get(voice, 105.0) * float(rng.uniform(0.85, 1.3))
            return [say_flite(english(rng), voice, stretch, pitch) for _ in range(count)]
        first = line_in(rng, HELD_OUT_LANGUAGE) if self._held_out else espeak_line(rng, HELD_OUT_LANGUAGE)
        language = first.voice.partition("+")[0]
        lines = [first, *(line_in(rng, language) for _ in range(count - 1))]
        return [self._espeak.say(line.text, first.voice, first.rate, first.pitch, first.pitch_range) for line in lines]

    def _finish(self, sound: augment.Sound, phones: list[Phone], effort: list[float]) -> Take:
        frames = len(sound) // SAMPLES_PER_FRAME
        sound = sound[: frames * SAMPLES_PER_FRAME]
        heard = sound if self._clean else self._channel(sound)
        return Take(mel_spectrogram(heard).astype(np.float16), phones, effort, frames)

    def _channel(self, sound: augment.Sound) -> augment.Sound:
        if not sound.any():  # no speech: only noise, down to inaudible
            noise = augment.NOISES[int(self._rng.integers(len(augment.NOISES)))](self._rng, len(sound))
            return augment.to_peak(noise, self._rng.uniform(-80, -12))
        mixed = self._babble[: len(sound)]
        babble = mixed if len(mixed) == len(sound) else None
        rolled = np.roll(np.resize(self._babble, len(sound)) if len(self._babble) else sound, len(sound) // 2)
        self._babble = 0.8 * rolled + 0.6 * sound  # voices of earlier takes, fading out
        return augment.channel(self._rng, sound, babble)


def trimmed(utterance: Utterance, kept: float = 0.05) -> Utterance:
    """Trim silence at both ends to `kept` seconds, as the take adds pauses."""
    end = len(utterance.samples) / SAMPLE_RATE
    phones = utterance.phones
    first = max(0.0, phones[0].end - kept) if phones[0].symbol == SILENCE else 0.0
    last = min(end, phones[-1].start + kept) if phones[-1].symbol == SILENCE else end
    inside = (Phone(p.symbol, max(p.start, first) - first, min(p.end, last) - first) for p in phones)
    samples = utterance.samples[int(first * SAMPLE_RATE) : int(last * SAMPLE_RATE)]
    return Utterance(samples, tuple(p for p in inside if p.end > p.start), utterance.voice)


def join_silences(phones: list[Phone]) -> list[Phone]:
    """Merge neighbouring pauses, so that each has its full length."""
    joined: list[Phone] = []
    for phone in phones:
        if joined and joined[-1].symbol == phone.symbol == SILENCE:
            joined[-1] = Phone(SILENCE, joined[-1].start, phone.end)
        else:
            joined.append(phone)
    return joined


def join_efforts(phones: list[Phone], effort: list[float]) -> list[float]:
    """Return the efforts that match `join_silences(phones)`."""
    kept = []
    for index, value in enumerate(effort):
        if not (index and phones[index].symbol == phones[index - 1].symbol == SILENCE):
            kept.append(value)
    return kept
