"""Queue of pushed speech, which arrives faster than it is played, with its playback position.

Utterances are heard one after the other. Positions are those of the session's clock (samples at `timeline.RATE`); what
is reported of an utterance is in milliseconds of its sound. No I/O, no clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from streamer.audio.format import CHANNELS, MS, Samples
from streamer.session.speech.speech_format import Format
from streamer.session.speech.speech_protocol import Idle, Played, Started, Told
from streamer.session.speech.speech_sound import SpeechSound

TOLD_EVERY = 250 * MS  # samples heard between two reports


@dataclass
class _Span:
    """`length` samples that were taken are heard from `position` on."""

    position: int
    length: int


@dataclass
class _Utterance:
    number: int
    sound: SpeechSound
    spans: deque[_Span] = field(default_factory=deque)  # taken; the first may have been heard in part
    before: int = 0  # samples heard before them
    ended: bool = False  # nothing more will be pushed
    taken: bool = False  # nothing more will be taken
    interrupted: bool = False
    told: int | None = None  # samples heard at the last report; None before the first

    def take(self, length: int, position: int) -> Samples:
        """At most int16 [length, 2], which is heard from `position` on."""
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
        """Samples heard when everything before `position` was."""
        while self.spans and self.spans[0].position + self.spans[0].length <= position:
            self.before += self.spans.popleft().length
        return self.before + (max(0, position - self.spans[0].position) if self.spans else 0)

    def cut(self, position: int) -> None:
        """Nothing of it is heard from `position` on."""
        self.taken = self.interrupted = True
        self.sound.drop()
        while self.spans and self.spans[-1].position >= position:
            self.spans.pop()
        if self.spans:
            self.spans[-1].length = min(self.spans[-1].length, position - self.spans[-1].position)

    def over(self) -> bool:
        """Whether all of it was heard, after `heard`."""
        return self.taken and not self.spans


class PushedSpeech:
    """The utterances of one session, in order. The caller bounds the queue: see `buffered_s`."""

    def __init__(self) -> None:
        self._utterances: deque[_Utterance] = deque()  # begun and not heard to the end
        self._busy = False  # since the last Idle
        self._cleared = False  # since then

    @property
    def in_flight(self) -> bool:
        """Whether anything was taken, not cut off and, at the last `progress`, not heard yet."""
        return any(utterance.spans and not utterance.interrupted for utterance in self._utterances)

    @property
    def has_the_word(self) -> bool:
        """Whether more is to be taken."""
        return any(not utterance.taken for utterance in self._utterances)

    @property
    def waiting(self) -> int:
        """Utterances that were not heard to the end."""
        return len(self._utterances)

    @property
    def buffered_s(self) -> float:
        """Seconds that were pushed and not taken."""
        return sum(utterance.sound.waiting_s for utterance in self._utterances)

    def begin(self, number: int, sound: Format) -> None:
        """An utterance begins; the one before must have ended."""
        self._utterances.append(_Utterance(number, SpeechSound(sound)))
        self._busy = True

    def push(self, message: bytes) -> None:
        """More of the utterance begun last: a message that its format has found right."""
        self._utterances[-1].sound.push(message)

    def end(self) -> None:
        """The utterance begun last is complete."""
        self._utterances[-1].ended = True

    def take(self, length: int, position: int) -> Samples:
        """Return the sound to play from `position` on: int16 [length, 2] at RATE; silence where there is none yet."""
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
        """What there is to tell once everything before `position` was sent to be heard."""
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
        """Drop everything; nothing is heard from `position` on. `progress` tells how far each utterance came."""
        for utterance in self._utterances:
            if not utterance.interrupted:
                utterance.cut(position)
        self._busy = self._cleared = True  # report `idle` in any case
