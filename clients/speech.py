"""A client that gives a session its speech (docs/speech.md): for voice agents, and whoever else makes sound.

    async with SpeechClient("http://localhost:8080/session/TOKEN") as speech:
        await speech.say(pcm, sample_rate=24_000)
        await speech.idle()                     # heard to the end
        heard_ms = await speech.clear()         # or cut off: how much of it was heard

Needs the package `websockets` (`pip install avatar-streamer[speech]`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from types import TracebackType
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

VERSION = 1
SAMPLE_BYTES = 2
PIECE_BYTES = 32 * 1024
ANSWER_S = 10.0  # for the server to answer hello, or clear
LARGEST_EVENT = 16 * 1024

Event = dict[str, Any]


class SpeechClientError(Exception):
    """The server refused something, or the connection is lost; the message is for people."""


class SpeechClient:
    """Speech for the session at `url` (its Location, or its socket's own address), alive inside `async with`.

    `on_event` is called with every event of the server as it comes, a dict with its `type`.
    """

    def __init__(self, url: str, on_event: Callable[[Event], None] | None = None) -> None:
        self.delay_ms = 0  # from a sample's arrival at the server to its being sent to be heard
        location = url.rstrip("/").removesuffix("/speech")
        self._url = location.replace("http", "ws", 1) if location.startswith("http") else location
        self._url += "/speech"
        self._on_event = on_event
        self._changed = asyncio.Condition()
        self._idle = True
        self._failure: str | None = None
        self._pushed_ms = 0.0  # since everything was idle last
        self._heard: dict[int, int] = {}  # ms, of each utterance since then
        self._last_heard = 0  # ms, of all of them when they were idle
        self._room_ms, self._piece = 0.0, PIECE_BYTES
        self._format = (0, 0)

    async def __aenter__(self) -> SpeechClient:
        """Connect. Raises SpeechClientError when the server cannot be reached or refuses."""
        try:
            self._socket: ClientConnection = await connect(self._url, compression=None, max_size=LARGEST_EVENT)
        except (OSError, InvalidHandshake, InvalidURI, TimeoutError) as error:
            raise SpeechClientError(f"{self._url}: {error}") from None
        try:
            await self._tell({"type": "hello", "version": VERSION})
            async with asyncio.timeout(ANSWER_S):
                hello = json.loads(await self._socket.recv())
            if hello["type"] != "hello":
                raise SpeechClientError(str(hello.get("message", hello)))
            self.delay_ms = int(hello["delay_ms"])
            self._room_ms = float(hello["limits"]["buffered_ms"])
            self._piece = min(PIECE_BYTES, int(hello["limits"]["message_bytes"])) // 4 * 4
        except (ConnectionClosed, TimeoutError, ValueError, KeyError, TypeError) as error:
            await self._socket.close()
            raise SpeechClientError(f"{self._url}: no answer to hello ({error})") from None
        except BaseException:
            await self._socket.close()
            raise
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect; what was not heard yet is dropped. Wait for `idle` first."""
        await self._socket.close()
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader

    async def say(self, pcm: bytes, sample_rate: int, channels: int = 1) -> None:
        """One whole utterance, after those under way: signed 16-bit little-endian PCM."""
        await self.begin(sample_rate, channels)
        await self.push(pcm)
        await self.end()

    async def begin(self, sample_rate: int, channels: int = 1) -> None:
        """An utterance begins; `push` its sound as it is made, then `end` it."""
        self._idle = False
        self._format = sample_rate, channels
        await self._tell({"type": "begin", "format": "s16le", "sample_rate": sample_rate, "channels": channels})

    async def begin_opus(self) -> None:
        """An utterance begins, whose sound is Opus packets for `push_packet`."""
        self._idle = False
        await self._tell({"type": "begin", "format": "opus"})

    async def push(self, pcm: bytes) -> None:
        """More sound, in whole samples. Returns when the server has it; waits while its buffer is full."""
        sample_rate, channels = self._format
        for start in range(0, len(pcm), self._piece):
            piece = pcm[start : start + self._piece]
            await self._push(piece, 1000 * len(piece) / (sample_rate * channels * SAMPLE_BYTES))

    async def push_packet(self, packet: bytes, milliseconds: float = 20.0) -> None:
        """One Opus packet, which sounds so long. Returns when the server has it; waits while its buffer is full."""
        await self._push(packet, milliseconds)

    async def end(self) -> None:
        """The utterance is complete."""
        await self._tell({"type": "end"})

    async def clear(self) -> int:
        """Silence, at once: drop all that was not heard. Returns the milliseconds heard since all was idle last."""
        self._idle = False
        await self._tell({"type": "clear"})
        async with asyncio.timeout(ANSWER_S):
            await self.idle()
        return self._last_heard

    async def idle(self) -> None:
        """Return when everything was heard. Raises SpeechClientError when the server refused anything meanwhile."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._failure or self._idle)
        self._check()

    async def _push(self, message: bytes, milliseconds: float) -> None:
        async with self._changed:
            while self._failure is None and not self._fits(milliseconds):
                await self._changed.wait()
        self._pushed_ms += milliseconds
        await self._send(message)

    def _fits(self, milliseconds: float) -> bool:
        return self._pushed_ms - sum(self._heard.values()) + milliseconds <= self._room_ms

    async def _tell(self, message: Event) -> None:
        await self._send(json.dumps(message))

    async def _send(self, data: str | bytes) -> None:
        self._check()
        try:
            await self._socket.send(data)
        except ConnectionClosed as error:
            self._failure = self._failure or f"the server has hung up ({error})"
            self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise SpeechClientError(self._failure)

    async def _read(self) -> None:
        try:
            async for text in self._socket:
                event = json.loads(text)
                async with self._changed:
                    self._take(event)
                    self._changed.notify_all()
                if self._on_event is not None:
                    self._on_event(event)
        except (ConnectionClosed, ValueError, KeyError, TypeError) as error:
            self._failure = self._failure or f"the server has hung up ({error})"
        async with self._changed:
            self._failure = self._failure or "the server has hung up"
            self._changed.notify_all()

    def _take(self, event: Event) -> None:
        match event["type"]:
            case "played":
                self._heard[int(event["speech"])] = int(event["position_ms"])
            case "idle":
                self._last_heard = sum(self._heard.values())
                self._pushed_ms, self._heard, self._idle = 0.0, {}, True
            case "error":
                self._failure = f"the server refused: {event['message']}"
