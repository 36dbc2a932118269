"""Speech that the server itself says in a session: it takes the place of a speech client while it lasts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from streamer.core.errors import SessionError
from streamer.session.speech.speech_format import Pcm
from streamer.session.speech.speech_port import SpeechPort
from streamer.session.speech.speech_protocol import Idle, Played, Told

MOST_WAITING = 8  # texts that were not begun yet


class LineFullError(SessionError):
    """Too many texts wait."""


class SpeechLine:
    """Texts of one session, one after the other."""

    def __init__(self, port: SpeechPort) -> None:
        self._port = port
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._taken = False  # we are the port's client
        self._said = 0  # utterances
        self._cuts = 0  # interruptions
        self._heard: dict[int, int] = {}  # ms, of each utterance since the line was idle
        self._progress = asyncio.Event()  # something was heard, so there may be room

    async def say(self, pieces: AsyncIterator[tuple[bytes, int]]) -> int | None:
        """Say mono s16le pieces of one rate each as one utterance; return its number when all is on its way.

        None when it was interrupted before.

        Raises:
            SessionError: a speech client speaks for this session.
            LineFullError: too many texts wait.
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
        """Silence whoever speaks into the session. Return the milliseconds heard of texts since the line was idle."""
        self._cuts += 1
        self._port.counts.clears += 1
        heard = self._heard
        self._port.interrupt()
        self._progress.set()
        return sum(heard.values())

    async def _say(self, pieces: AsyncIterator[tuple[bytes, int]], cuts: int) -> int | None:
        number = None
        try:
            async for pcm, rate in pieces:
                if cuts != self._cuts:
                    return None
                sound = Pcm(rate, 1)
                if number is None:
                    self._take()
                    self._said += 1
                    number = self._said
                    self._heard[number] = 0
                    self._port.counts.utterances += 1
                    self._port.pushed.begin(number, sound)
                await self._room(sound.seconds(pcm), cuts)
                if cuts != self._cuts:
                    return None
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
        """Return when so much more may wait, or when it was interrupted."""
        most = self._port.limits.buffered_s
        while cuts == self._cuts and self._port.pushed.buffered_s + min(seconds, most) > most:
            self._progress.clear()
            await self._progress.wait()

    def _tell(self, told: Told) -> None:
        if isinstance(told, Played):
            self._heard[told.speech] = told.position_ms
        self._progress.set()
        if isinstance(told, Idle):
            self._heard = {}
            asyncio.get_running_loop().call_soon(self._leave)

    def _leave(self) -> None:
        """Give the port back, unless another text has begun meanwhile."""
        if self._taken and not self._port.pushed.waiting:
            self._taken = False
            self._port.detach()
