"""Speech from an agent framework to a face: pieces of speech in, events of how much was heard out.

Frameworks (Pipecat, LiveKit) push speech piece by piece and learn from events how much of it was heard. This module has
the parts common to them: the interface of a face (`FaceSource`), and a speech client that reconnects after a loss
(`AgentVoice`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from clients.speech import Event, SpeechClient, SpeechClientError

logger = logging.getLogger(__name__)

RECONNECT_S = 15.0  # the face itself may be reconnecting to its server meanwhile
RETRY_S = 0.5


class Pictures(Protocol):
    """Receiver of a face's pictures, always 25 a second; it must not block."""

    def show(self, frame: int, rgb: NDArray[np.uint8]) -> None:
        """Take picture number `frame`, uint8 [H, W, 3]."""


class Sound(Protocol):
    """Receiver of a face's sound, a packet every 20 ms, also during silence; it must not block.

    lead_s: 0.0, because pictures and sound arrive together.
    """

    lead_s: float

    def play(self, block: int, samples: NDArray[np.int16]) -> None:
        """Take packet number `block`: int16 [960, 2] at 48 kHz."""


class Showing(Protocol):
    """A face while it is shown."""

    @property
    def address(self) -> str:
        """Address for pushing speech, by the protocol of docs/speech.md."""

    @property
    def lag_s(self) -> float:
        """Longest time from an event to the arrival of the sound it reports at `Sound.play`."""

    @property
    def delay_s(self) -> float:
        """Time from pushing a sample to its arrival at `Sound.play` with its picture."""


class FaceSource(Protocol):
    """Opens faces: `streamer.desktop.program_face` has a source in this process and one on a server."""

    def open(self, pictures: Pictures, sound: Sound) -> AbstractAsyncContextManager[Showing]:
        """Show a face as long as the context is open."""


class AgentVoice:
    """Speech for the face at `address`, connected inside `async with`.

    on_event: called with each event of the server (docs/speech.md). Utterances are numbered from 1 over all
        connections, and each gets exactly one final `played`, even if the connection is lost.
    """

    def __init__(self, address: str, on_event: Callable[[Event], None]) -> None:
        self._address = address
        self._on_event = on_event
        self._client: SpeechClient | None = None
        self._watch: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()
        self._before = 0  # utterances of earlier connections
        self._unheard: dict[int, int] = {}  # ms heard so far, of each utterance without a final event
        self._format: tuple[int, int] | None = None  # of the open utterance

    async def __aenter__(self) -> AgentVoice:
        """Connect. Raises SpeechClientError if the face cannot be reached."""
        await self._connected()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leave()

    async def push(self, pcm: bytes, sample_rate: int, channels: int = 1) -> int:
        """Push more of the utterance, s16le; begins one if none is open. Waits while the server's buffer is full.

        Returns the utterance's number. Raises SpeechClientError if it cannot be said.
        """
        client = await self._connected()
        if self._format != (sample_rate, channels):
            await client.begin(sample_rate, channels)
            self._format = sample_rate, channels
            self._unheard[self._number(client)] = 0
        number = self._number(client)
        await client.push(pcm)
        return number

    async def end(self) -> int | None:
        """End the open utterance. Return its number, or None if none was open."""
        if self._format is None or self._client is None:
            return None
        self._format, number = None, self._number(self._client)
        await self._client.end()
        return number

    async def clear(self) -> int:
        """Silence the face at once and drop all queued speech. Return the milliseconds heard since the last `idle`."""
        self._format = None
        return 0 if self._client is None or self._client.lost else await self._client.clear()

    async def idle(self) -> None:
        """Wait until everything pushed was heard, or the connection is lost."""
        if self._client is not None and not self._client.lost:
            await self._client.idle()

    def _number(self, client: SpeechClient) -> int:
        """Return the number of the last utterance, counted over all connections."""
        return self._before + client.begun

    async def _connected(self) -> SpeechClient:
        async with self._connecting:
            if self._client is None or self._client.lost:
                await self._leave()
                self._client = await self._connect()
                self._watch = asyncio.create_task(self._until_lost(self._client))
            return self._client

    async def _connect(self) -> SpeechClient:
        on_event = partial(self._on_numbered, self._before)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + RECONNECT_S
        while True:
            try:
                return await SpeechClient(self._address, on_event).__aenter__()
            except SpeechClientError:
                if loop.time() > deadline:
                    raise
            await asyncio.sleep(RETRY_S)

    async def _leave(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        if self._client is not None:
            client, self._client = self._client, None
            self._before = self._number(client)
            await client.__aexit__(None, None, None)
        self._give_up()

    async def _until_lost(self, client: SpeechClient) -> None:
        logger.warning("the face is not spoken to any more: %s", await client.until_lost())
        self._give_up()

    def _give_up(self) -> None:
        """Report every unfinished utterance as interrupted: no more of it will be heard."""
        self._format, unheard, self._unheard = None, self._unheard, {}
        for number, heard_ms in unheard.items():
            end = {"speech": number, "position_ms": heard_ms, "final": True, "interrupted": True}
            self._on_event({"type": "played", **end})

    def _on_numbered(self, before: int, event: Event) -> None:
        if "speech" in event:
            event = event | {"speech": before + int(event["speech"])}
        if event["type"] == "played":
            if event["final"]:
                self._unheard.pop(event["speech"], None)
            else:
                self._unheard[event["speech"]] = event["position_ms"]
        self._on_event(event)
