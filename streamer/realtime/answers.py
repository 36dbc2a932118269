"""What the backend says, as speech in the session: how much of it was heard, and what of it is void.

Each spoken part of a response is an utterance. When it is interrupted, the backend is told how much of it was sent to
be heard, so that it remembers no more than that. No I/O.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from streamer.realtime import messages
from streamer.realtime.messages import MOST_TEXT, RATE, AudioDelta, AudioDone, BackendError, TranscriptDelta
from streamer.session.control_protocol import Caption
from streamer.session.speech.speech_format import Pcm
from streamer.session.speech.speech_port import SpeechPort
from streamer.session.speech.speech_protocol import Idle, Started, Told

MOST_WAITING_S = 300.0  # of sound that was not heard yet: 14 MB
REMEMBERED = 64  # responses that were cancelled, and parts that may still get words
LETTERS_PER_MS = 0.02  # of fast speech
SOUND = Pcm(RATE, 1)


@dataclass
class _Answer:
    """One part. `received_ms`: of its sound; `ended`: whether that is all of it; `text`: its words so far."""

    response: str
    key: tuple[str, int]
    number: int = 0  # of the utterance; 0 before its first sound
    received_ms: float = 0.0
    heard_ms: int = 0
    ended: bool = False
    text: str = ""

    def words(self, complete: bool) -> str:
        """Those that were heard, by their share of the sound, up to the end of a word.

        Words may be far ahead of a sound that has not ended; of them nobody has heard more than people say in the time.
        """
        end = len(self.text)
        if not complete:
            end = round(end * self.heard_ms / self.received_ms) if self.received_ms else 0
            if not self.ended:
                end = min(end, round(LETTERS_PER_MS * self.heard_ms))
        if end < len(self.text) and not self.text[end].isspace():
            end = self.text.rfind(" ", 0, end) + 1
        return self.text[:end].strip()


class Answers:
    """Those of one connection. `send`: takes messages to the backend; `show`: captions."""

    def __init__(
        self, port: SpeechPort, send: Callable[[str], None], show: Callable[[Caption], None], numbers: list[int]
    ) -> None:
        """numbers: one number, that of the session's last utterance; connections of a session go on counting."""
        self._port = port
        self._send = send
        self._show = show
        self._numbers = numbers
        self._making: str | None = None  # the response that is being made
        self._void: deque[str] = deque(maxlen=REMEMBERED)  # responses, or items where they are not named
        self._said: dict[tuple[str, int], _Answer] = {}
        self._open: _Answer | None = None  # more sound of it may come

    def begin(self, response: str) -> None:
        """The backend makes a response."""
        self._making = response

    def finish(self, response: str) -> None:
        """Nothing more of a response will come."""
        if self._making in (response, ""):
            self._making = None
        if self._open is not None and (self._open.response == response or "" in (self._open.response, response)):
            self._end()
        self._forget_unsaid()

    def add_sound(self, delta: AudioDelta) -> None:
        """Say more.

        Raises:
            BackendError: it is no sound, or more than a session keeps.
        """
        sound = messages.sound_of(delta)
        if self._is_void(delta.response_id, delta.item_id) or not sound:
            return
        answer = self._answer(delta.response_id, delta.key)
        if answer is not self._open:
            self._begin(answer)
        seconds = SOUND.seconds(sound)
        if self._port.pushed.buffered_s + seconds > MOST_WAITING_S:
            self.interrupt()
            raise BackendError(f"it is {MOST_WAITING_S:g} s of speech ahead of what was heard; all of it was dropped")
        self._port.pushed.push(sound)
        answer.received_ms += 1000 * seconds

    def end_sound(self, done: AudioDone) -> None:
        """A part is complete."""
        if self._open is not None and self._open.key == done.key:
            self._end()

    def add_words(self, delta: TranscriptDelta) -> None:
        """Words of what is said, or will be."""
        if not self._is_void(delta.response_id, delta.item_id):
            answer = self._answer(delta.response_id, delta.key)
            answer.text = (answer.text + delta.delta)[:MOST_TEXT]

    def interrupt(self) -> None:
        """Void all that was not heard, here and at the backend."""
        if self._making is None and not self._port.pushed.waiting:
            return
        self._port.counts.clears += 1
        self._port.interrupt()  # comes back as `interrupted`

    def interrupted(self) -> None:
        """Somebody has silenced the face."""
        if self._making is not None:
            self._send(messages.cancel(self._making))
            self._void.append(self._making)
            self._making = None
        if self._open is not None:
            self._void.append(self._open.response or self._open.key[0])
            self._open = None
        self._forget_unsaid()

    def tell(self, told: Told) -> None:
        """From the session: how far an utterance was heard."""
        if isinstance(told, Started | Idle):
            return
        answer = next((answer for answer in self._said.values() if answer.number == told.speech), None)
        if answer is None:
            return
        answer.heard_ms = min(told.position_ms, int(answer.received_ms))  # filters between rates end a little later
        if told.final:
            del self._said[answer.key]
        if told.interrupted:
            self._send(messages.truncate(*answer.key, answer.heard_ms))
        words = answer.words(complete=told.final and not told.interrupted)
        if words or told.final:
            self._show(Caption("face", words, told.final, told.interrupted))

    def close(self) -> None:
        """The connection is no more: what came is still said."""
        if self._open is not None:
            self._end()

    def _answer(self, response: str, key: tuple[str, int]) -> _Answer:
        if key not in self._said and len(self._said) >= REMEMBERED:
            raise BackendError(f"it has {REMEMBERED} answers that were not heard yet")
        return self._said.setdefault(key, _Answer(response, key))

    def _begin(self, answer: _Answer) -> None:
        if answer.number:
            raise BackendError("it goes on with an answer whose sound it had ended")
        if self._open is not None:
            self._end()
        self._numbers[0] += 1
        answer.number = self._numbers[0]
        self._open = answer
        self._port.counts.utterances += 1
        self._port.pushed.begin(answer.number, SOUND)

    def _end(self) -> None:
        self._port.pushed.end()
        if self._open is not None:
            self._open.ended = True
        self._open = None

    def _forget_unsaid(self) -> None:
        self._said = {key: answer for key, answer in self._said.items() if answer.number}

    def _is_void(self, response: str, item: str) -> bool:
        return (response or item) in self._void
