"""Queue of pushed speech, which arrives faster than it is played, with its playback position.

Utterances are played one after the other. Positions are samples of the session's clock at `timeline.RATE`; reports give
milliseconds of an utterance's sound. No I/O, no clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from streamer.audio.format import CHANNELS, MS, Samples
from streamer.session.speech.speech_format import Format
from streamer.session.speech.speech_protocol import Idle, Played, Started, Told
from streamer.session.speech.speech_sound import SpeechSound

TOLD_EVERY = 250 * MS  # samples played between two reports


@dataclass
class _Span:
    """`length` taken samples, played from `position` on."""

    position: int
    length: int


@dataclass
class _Utterance:
    number: int
    sound: SpeechSound
    spans: deque[_Span] = field(default_factory=deque)  # taken and not fully played; the first may be partly played
    before: int = 0  # samples played before `spans`
    ended: bool = False  # nothing more will be pushed
    taken: bool = False  # nothing more will be taken
    interrupted: bool = False
    told: int | None = None  # samples played at the last report; None before the first

    def take(self, length: int, position: int) -> Samples:
        """Take up to `length` samples, int16 [n, 2], to be played from `position` on."""
        samples = self.sound.take(length, self.ended)
        self.taken = self.ended and len(samples) < length
        if len(samples):
            last = self.spans[-1] if self.spans else None
            if last is not None and last.position + last.length == position:
                last.length += len(samples)
            else:
                self.spans.append(_Span(position, len(samples)))
        return samples

    def heard(self, position: int) -> int:
        """Return the samples of this utterance played before `position`."""
        while self.spans and self.spans[0].position + self.spans[0].length <= position:
            self.before += self.spans.popleft().length
        return self.before + (max(0, position - self.spans[0].position) if self.spans else 0)

    def cut(self, position: int) -> None:
        """Cut the utterance off at `position`."""
        self.taken = self.interrupted = True
        self.sound.drop()
        while self.spans and self.spans[-1].position >= position:
            self.spans.pop()
        if self.spans:
            self.spans[-1].length = min(self.spans[-1].length, position - self.spans[-1].position)

    def over(self) -> bool:
        """Return whether all of it was played, as of the last call of `heard`."""
        return self.taken and not self.spans


class PushedSpeech:
    """The utterances of one session, in order. The caller bounds the queue: see `buffered_s`."""

    def __init__(self) -> None:
        self._utterances: deque[_Utterance] = deque()  # begun and not played to the end
        self._busy = False  # something was pushed or cleared since the last Idle
        self._cleared = False  # `clear` was called since then

    @property
    def in_flight(self) -> bool:
        """Whether any taken sound, not counting cut sound, is still to be played as of the last `progress`."""
        return any(utterance.spans and not utterance.interrupted for utterance in self._utterances)

    @property
    def has_the_word(self) -> bool:
        """Whether any utterance is still to be taken."""
        return any(not utterance.taken for utterance in self._utterances)

    @property
    def waiting(self) -> int:
        """Number of utterances not yet played to the end."""
        return len(self._utterances)

    @property
    def buffered_s(self) -> float:
        """Seconds of sound pushed and not yet taken."""
        return sum(utterance.sound.waiting_s for utterance in self._utterances)

    def begin(self, number: int, sound: Format) -> None:
        """Begin an utterance; the previous one must have ended."""
        self._utterances.append(_Utterance(number, SpeechSound(sound)))
        self._busy = True

    def push(self, message: bytes) -> None:
        """Append a message, already validated by its format, to the current utterance."""
        self._utterances[-1].sound.push(message)

    def end(self) -> None:
        """Mark the current utterance as complete."""
        self._utterances[-1].ended = True

    def take(self, length: int, position: int) -> Samples:
        """Return the sound to play from `position` on: int16 [length, 2] at RATE; padded with silence on underrun."""
        found: list[Samples] = []
        missing = length
        for utterance in self._utterances:
            if not utterance.taken:
                found.append(utterance.take(missing, position + length - missing))
                missing -= len(found[-1])
                if not missing or not utterance.ended:
                    break
        return np.concatenate([*found, np.zeros((missing, CHANNELS), np.int16)])

    def progress(self, position: int) -> list[Told]:
        """Return the reports due once everything before `position` has been sent out."""
        told: list[Told] = []
        while self._utterances:
            utterance = self._utterances[0]
            if self._cleared and not utterance.interrupted:
                self._cleared = False
                told.append(Idle())  # the answer to `clear` does not wait for later utterances
            heard = utterance.heard(position)
            over = utterance.over()
            if utterance.told is None and (heard or (over and not utterance.interrupted)):
                told.append(Started(utterance.number))
                utterance.told = 0
            if over or (utterance.told is not None and heard - utterance.told >= TOLD_EVERY):
                utterance.told = heard
                told.append(Played(utterance.number, heard // MS, over, utterance.interrupted))
            if not over:
                return told
            self._utterances.popleft()
        if self._busy:
            self._busy = self._cleared = False
            told.append(Idle())
        return told

    def clear(self, position: int) -> None:
        """Drop everything from `position` on. `progress` then reports how much of each utterance was played."""
        for utterance in self._utterances:
            if not utterance.interrupted:
                utterance.cut(position)
        self._busy = self._cleared = True  # report `idle` in any case
