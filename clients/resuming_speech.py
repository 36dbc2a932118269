"""Speech for a session that may be lost and opened again: an interrupted utterance is resumed where it broke off.

    async with ResumingSpeech("http://localhost:8080/session/KEY") as speech:
        heard_ms = await speech.say(pcm, sample_rate=24_000)

KEY is the session's key (`POST /session?key=KEY`), by which the session is found again after it was reopened on a
restarted server or on another worker of a cluster. The server reports the played position every 250 ms, so up to
250 ms may be heard twice; no speech is lost.

Needs the package `websockets` (`pip install avatar-streamer[speech]`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import TracebackType

from clients.speech import SAMPLE_BYTES, Event, SpeechClient, SpeechClientError

PATIENCE_S = 60.0  # for the session to be opened again
AGAIN_S = 0.25  # between two attempts


class ResumingSpeech:
    """Speech for the session at `url`, connected inside `async with`. One utterance at a time.

    patience_s: how long a session may be gone. on_event, token: as for `SpeechClient`.
    """

    def __init__(
        self,
        url: str,
        patience_s: float = PATIENCE_S,
        on_event: Callable[[Event], None] | None = None,
        token: str | None = None,
    ) -> None:
        self.losses = 0  # sessions lost during an utterance
        self._url = url
        self._patience_s = patience_s
        self._on_event = on_event
        self._token = token
        self._client: SpeechClient | None = None
        self._position_ms = 0  # heard of the utterance on this connection

    async def __aenter__(self) -> ResumingSpeech:
        """Connect. Raises SpeechClientError if the session does not appear within the patience."""
        await self._connected()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect."""
        await self._let_go()

    async def say(self, pcm: bytes, sample_rate: int, channels: int = 1) -> int:
        """Say one utterance, s16le; return how many ms of it were heard, once it was heard to the end or cleared.

        Raises:
            SpeechClientError: the session was gone for too long, or refused the speech.
        """
        heard_ms, each = 0, channels * SAMPLE_BYTES
        while True:
            client = await self._connected()
            start = heard_ms * sample_rate // 1000 * each
            self._position_ms = 0
            try:
                await client.say(pcm[start:], sample_rate, channels)
                await client.idle()
                return heard_ms + self._position_ms
            except SpeechClientError:
                if not client.lost:
                    raise
                heard_ms += self._position_ms
                self.losses += 1
                await self._let_go()

    async def clear(self) -> None:
        """Silence the face at once: the current utterance ends, and `say` returns."""
        if self._client is not None and not self._client.lost:
            await self._client.clear()

    async def _connected(self) -> SpeechClient:
        if self._client is not None and not self._client.lost:
            return self._client
        await self._let_go()
        end = time.monotonic() + self._patience_s
        while True:
            client = SpeechClient(self._url, self._note, self._token)
            try:
                self._client = await client.__aenter__()
                return client
            except SpeechClientError:
                if time.monotonic() > end:
                    raise
            await asyncio.sleep(AGAIN_S)

    async def _let_go(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.__aexit__(None, None, None)

    def _note(self, event: Event) -> None:
        if event["type"] == "played":
            self._position_ms = int(event["position_ms"])
        if self._on_event is not None:
            self._on_event(event)
