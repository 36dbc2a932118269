"""Texts spoken by the server itself in a session; it occupies the session's speech port while it speaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from streamer.core.errors import SessionError
from streamer.session.control_protocol import Caption
from streamer.session.speech.speech_format import Pcm
from streamer.session.speech.speech_port import SpeechPort
from streamer.session.speech.speech_protocol import Idle, Played, Told

MOST_WAITING = 8  # texts queued and not yet begun

Piece = tuple[bytes, int, str]  # mono s16le, its sample rate, and its words


class LineFullError(SessionError):
    """Too many texts are queued."""


class SpeechLine:
    """Queue of one session's texts, spoken one after the other. `show` receives captions as the words are played."""

    def __init__(self, port: SpeechPort) -> None:
        self.show: Callable[[Caption], None] = lambda caption: None
        self._port = port
        self._words: dict[int, list[tuple[str, float]]] = {}  # by utterance: words and ms of each piece
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._taken = False  # whether the line is the port's client
        self._said = 0  # utterances begun
        self._cuts = 0  # interruptions
        self._heard: dict[int, int] = {}  # ms played, by utterance, since the line was idle
        self._progress = asyncio.Event()  # playback advanced, so the queue may have room

    async def say(self, pieces: AsyncIterator[Piece]) -> int | None:
        """Speak pieces of one sample rate as one utterance; return its number once all of it is queued.

        Return None if it was interrupted before that.

        Raises:
            SessionError: a speech client is connected to this session.
            LineFullError: too many texts are queued.
        """
        if self._port.is_taken and not self._taken:
            raise SessionError("a speech client speaks for this session")
        if self._waiting >= MOST_WAITING:
            raise LineFullError(f"{self._waiting} texts wait to be spoken already; try again when they were heard")
        cuts = self._cuts
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1
        try:
            return await self._say(pieces, cuts)
        finally:
            self._turn.release()

    def interrupt(self) -> int:
        """Interrupt all pushed speech of the session. Return the ms of texts played since the line was idle."""
        self._cuts += 1
        self._port.counts.clears += 1
        heard = self._heard
        self._port.interrupt()
        self._progress.set()
        return sum(heard.values())

    async def _say(self, pieces: AsyncIterator[Piece], cuts: int) -> int | None:
        number = None
        try:
            async for pcm, rate, words in pieces:
                if cuts != self._cuts:
                    return None
                sound = Pcm(rate, 1)
                if number is None:
                    self._take()
                    self._said += 1
                    number = self._said
                    self._heard[number], self._words[number] = 0, []
                    self._port.counts.utterances += 1
                    self._port.pushed.begin(number, sound)
                await self._room(sound.seconds(pcm), cuts)
                if cuts != self._cuts:
                    return None
                self._words.get(number, []).append((words, 1000 * sound.seconds(pcm)))
                self._port.pushed.push(pcm)
            return number
        finally:
            if number is not None and cuts == self._cuts:
                self._port.pushed.end()

    def _take(self) -> None:
        if not self._taken:
            self._port.attach(self._tell)
            self._taken = True

    async def _room(self, seconds: float, cuts: int) -> None:
        """Wait until the queue has room for `seconds` more (backpressure), or until an interruption."""
        most = self._port.limits.buffered_s
        while cuts == self._cuts and self._port.pushed.buffered_s + min(seconds, most) > most:
            self._progress.clear()
            await self._progress.wait()

    def _tell(self, told: Told) -> None:
        if isinstance(told, Played):
            self._heard[told.speech] = told.position_ms
            self._caption(told)
        self._progress.set()
        if isinstance(told, Idle):
            self._heard, self._words = {}, {}
            asyncio.get_running_loop().call_soon(self._leave)

    def _caption(self, told: Played) -> None:
        """Show the words played; in the current piece, in proportion to its played sound, cut at a word's end."""
        pieces, left = self._words.get(told.speech, []), float(told.position_ms)
        complete = told.final and not told.interrupted
        heard = []
        for words, lasts in pieces:
            if not complete and left < lasts:
                heard.append(words[: int(len(words) * left / lasts)].rpartition(" ")[0])
                break
            heard.append(words)
            left -= lasts
        if (text := " ".join(filter(None, heard))) or told.final:
            self.show(Caption("face", text, told.final, told.interrupted))
        if told.final:
            self._words.pop(told.speech, None)

    def _leave(self) -> None:
        """Release the port, unless another text has begun in the meantime."""
        if self._taken and not self._port.pushed.waiting:
            self._taken = False
            self._port.detach()
