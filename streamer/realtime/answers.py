"""Turn the backend's responses into speech of the session, and track how much was heard and which were cancelled.

Each audio part of a response is one utterance. On an interruption, the backend gets a `truncate` message with the
duration played, so that it remembers no more than that. No I/O.
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

MOST_WAITING_S = 300.0  # of audio not yet played: 14 MB
REMEMBERED = 64  # cancelled responses, and parts not yet heard to the end
LETTERS_PER_MS = 0.02  # in fast speech
SOUND = Pcm(RATE, 1)


@dataclass
class _Answer:
    """One part. `received_ms`: audio so far; `ended`: whether its audio is complete; `text`: transcript so far."""

    response: str
    key: tuple[str, int]
    number: int = 0  # of the utterance; 0 before its first audio
    received_ms: float = 0.0
    heard_ms: int = 0
    ended: bool = False
    text: str = ""

    def words(self, complete: bool) -> str:
        """Return the words heard so far, estimated from the share of audio played and cut at the end of a word.

        While audio is still arriving, the transcript may be far ahead of it; the estimate is then limited to the number
        of letters that fast speech has in the time played.
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
    """Responses of one connection. `send`: sends messages to the backend; `show`: shows captions."""

    def __init__(
        self, port: SpeechPort, send: Callable[[str], None], show: Callable[[Caption], None], numbers: list[int]
    ) -> None:
        """numbers: one element, the number of the session's last utterance; all its connections share the list."""
        self._port = port
        self._send = send
        self._show = show
        self._numbers = numbers
        self._making: str | None = None  # the response that the backend is generating
        self._void: deque[str] = deque(maxlen=REMEMBERED)  # cancelled response IDs, or item IDs without them
        self._said: dict[tuple[str, int], _Answer] = {}
        self._open: _Answer | None = None  # the part whose audio is arriving

    def begin(self, response: str) -> None:
        """Note that the backend started a response."""
        self._making = response

    def finish(self, response: str) -> None:
        """End a response: no more of it will come."""
        if self._making in (response, ""):
            self._making = None
        if self._open is not None and (self._open.response == response or "" in (self._open.response, response)):
            self._end()
        self._forget_unsaid()

    def add_sound(self, delta: AudioDelta) -> None:
        """Queue audio of a part for playout.

        Raises:
            BackendError: it is not valid audio, or the queue of the session is full.
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
        """End a part: its audio is complete."""
        if self._open is not None and self._open.key == done.key:
            self._end()

    def add_words(self, delta: TranscriptDelta) -> None:
        """Add transcript text to a part; it may come before the audio."""
        if not self._is_void(delta.response_id, delta.item_id):
            answer = self._answer(delta.response_id, delta.key)
            answer.text = (answer.text + delta.delta)[:MOST_TEXT]

    def interrupt(self) -> None:
        """Interrupt the speech (barge-in): drop everything not yet heard, here and at the backend."""
        if self._making is None and not self._port.pushed.waiting:
            return
        self._port.counts.clears += 1
        self._port.interrupt()  # calls `interrupted`

    def interrupted(self) -> None:
        """Cancel the responses in progress: the session's speech was interrupted."""
        if self._making is not None:
            self._send(messages.cancel(self._making))
            self._void.append(self._making)
            self._making = None
        if self._open is not None:
            self._void.append(self._open.response or self._open.key[0])
            self._open = None
        self._forget_unsaid()

    def tell(self, told: Told) -> None:
        """Take a playback report of the session: how far an utterance was heard."""
        if isinstance(told, Started | Idle):
            return
        answer = next((answer for answer in self._said.values() if answer.number == told.speech), None)
        if answer is None:
            return
        answer.heard_ms = min(told.position_ms, int(answer.received_ms))  # resamplers add a short tail
        if told.final:
            del self._said[answer.key]
        if told.interrupted:
            self._send(messages.truncate(*answer.key, answer.heard_ms))
        words = answer.words(complete=told.final and not told.interrupted)
        if words or told.final:
            self._show(Caption("face", words, told.final, told.interrupted))

    def close(self) -> None:
        """End the open utterance when the connection is lost; received audio is still played."""
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
