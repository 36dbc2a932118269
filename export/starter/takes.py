"""Training takes: a few spoken lines after each other, sent through a random channel, with the mouth that says them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.starter import augment
from export.starter.corpus import english, espeak_line, line_in
from export.starter.speech import SILENCE, Phone, Utterance, say_flite, shared_espeak
from export.starter.visemes import FIELDS, VOWELS, classify, mouth_fields
from streamer.config import SAMPLE_RATE, SAMPLES_PER_FRAME
from streamer.mel import mel_spectrogram

FLITE_VOICES = ("slt", "awb", "kal")
HELD_OUT_FLITE, HELD_OUT_LANGUAGE = "rms", "it"
EFFORT_PER_DB = 0.03  # how much wider a vowel opens per dB that it is louder than the utterance's median vowel
LEAST_EFFORT, MOST_EFFORT = 0.75, 1.3
# s the mouth runs ahead of the sound. Lips do lead (Schwartz & Savariaux 2014: by up to some 70 ms in running speech),
# and viewers notice an early sound sooner than an early picture (ITU-R BT.1359: 45 ms against 125 ms).
LEAD = 0.04
SILENT_TAKES = 0.05  # share of takes without speech: the mouth rests


@dataclass(frozen=True)
class Take:
    """Mel frames [t, 80] and mouth fields [frames, len(FIELDS)], both float16: half the memory, error below 0.002."""

    mel: NDArray[np.float16]
    fields: NDArray[np.float16]


def vowel_effort(utterance: Utterance) -> list[float]:
    """One factor per phone: louder vowels are opened wider, as in stressed and in careful speech."""
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
    """Makes takes from one random generator; `held_out` makes the validation voices instead of the training ones."""

    def __init__(self, seed: int, held_out: bool = False, clean: bool = False) -> None:
        self._rng = np.random.default_rng(seed)
        self._espeak = shared_espeak()
        self._held_out = held_out
        self._clean = clean
        self._babble = np.zeros(0, np.float32)

    def make(self) -> Take:
        """One take of 2 to 20 seconds."""
        rng = self._rng
        if not self._held_out and rng.random() < SILENT_TAKES:
            count = int(rng.uniform(2, 5) * SAMPLE_RATE)
            return self._finish(np.zeros(count, np.float32), [Phone(SILENCE, 0.0, count / SAMPLE_RATE)], [1.0])
        sound, phones, effort = self._speak()
        factor = float(rng.uniform(0.82, 1.22))
        sound, exact = augment.shift_voice(augment.to_peak(sound, -1.0), factor)
        return self._finish(sound, [Phone(p.symbol, p.start / exact, p.end / exact) for p in phones], effort)

    def _speak(self) -> tuple[augment.Sound, list[Phone], list[float]]:
        """One to three lines of one voice with pauses around them."""
        parts: list[augment.Sound] = []
        phones: list[Phone] = []
        effort: list[float] = []
        for utterance in self._lines():
            pause = np.zeros(int(self._rng.uniform(0.1, 1.0) * SAMPLE_RATE), np.float32)
            at = sum(map(len, parts)) / SAMPLE_RATE
            phones += [Phone(SILENCE, at, at + len(pause) / SAMPLE_RATE)]
            at = phones[-1].end
            phones += [Phone(p.symbol, at + p.start, at + p.end) for p in utterance.phones]
            effort += [1.0, *vowel_effort(utterance)]
            parts += [pause, utterance.samples]
        end = sum(map(len, parts)) / SAMPLE_RATE
        parts.append(np.zeros(int(self._rng.uniform(0.3, 1.0) * SAMPLE_RATE), np.float32))
        phones.append(Phone(SILENCE, end, end + len(parts[-1]) / SAMPLE_RATE))
        return np.concatenate(parts), join_silences(phones), join_efforts(phones, [*effort, 1.0])

    def _lines(self) -> list[Utterance]:
        rng, count = self._rng, int(self._rng.integers(1, 4))
        if rng.random() < 0.55:  # modelled on recorded speakers, so nearer to speech than formant synthesis
            voice = HELD_OUT_FLITE if self._held_out else str(rng.choice(FLITE_VOICES))
            stretch = float(rng.uniform(0.7, 1.3))
            return [say_flite(english(rng), voice, stretch) for _ in range(count)]
        first = line_in(rng, HELD_OUT_LANGUAGE) if self._held_out else espeak_line(rng, HELD_OUT_LANGUAGE)
        language = first.voice.partition("+")[0]
        lines = [first, *(line_in(rng, language) for _ in range(count - 1))]
        return [self._espeak.say(line.text, first.voice, first.rate, first.pitch, first.pitch_range) for line in lines]

    def _finish(self, sound: augment.Sound, phones: list[Phone], effort: list[float]) -> Take:
        frames = len(sound) // SAMPLES_PER_FRAME
        sound = sound[: frames * SAMPLES_PER_FRAME]
        fields = mouth_fields(phones, frames, effort, LEAD)
        heard = sound if self._clean else self._channel(sound)
        values = np.stack([fields[name] for name in FIELDS], axis=1)
        return Take(mel_spectrogram(heard).astype(np.float16), values.astype(np.float16))

    def _channel(self, sound: augment.Sound) -> augment.Sound:
        if not sound.any():  # nobody speaks: the noise alone, down to none
            noise = augment.NOISES[int(self._rng.integers(len(augment.NOISES)))](self._rng, len(sound))
            return augment.to_peak(noise, self._rng.uniform(-80, -12))
        mixed = self._babble[: len(sound)]
        babble = mixed if len(mixed) == len(sound) else None
        rolled = np.roll(np.resize(self._babble, len(sound)) if len(self._babble) else sound, len(sound) // 2)
        self._babble = 0.8 * rolled + 0.6 * sound  # voices of the takes before, getting fainter
        return augment.channel(self._rng, sound, babble)


def join_silences(phones: list[Phone]) -> list[Phone]:
    """Neighbouring pauses become one, so that rest is as long as it sounds."""
    joined: list[Phone] = []
    for phone in phones:
        if joined and joined[-1].symbol == phone.symbol == SILENCE:
            joined[-1] = Phone(SILENCE, joined[-1].start, phone.end)
        else:
            joined.append(phone)
    return joined


def join_efforts(phones: list[Phone], effort: list[float]) -> list[float]:
    """The efforts that belong to `join_silences(phones)`."""
    kept = []
    for index, value in enumerate(effort):
        if not (index and phones[index].symbol == phones[index - 1].symbol == SILENCE):
            kept.append(value)
    return kept
