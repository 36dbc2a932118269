"""A small voice agent of the OpenAI Realtime protocol, in both dialects: it answers whoever has spoken by a tone."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiohttp import WSMsgType, web

from tests.fakes.spoken import SAMPLE_RATE, steps

LOUD = 0.05
BEGIN_MS, END_MS = 60, 300  # of sound until speech has begun, of silence until it has ended
PIECE_MS = 100
TRANSCRIPT = "Good morning to you and to everybody else"
SPOKEN = "Hello there"
NAMES = {  # of events, by dialect
    True: ("response.output_audio.delta", "response.output_audio.done", "response.output_audio_transcript.delta"),
    False: ("response.audio.delta", "response.audio.done", "response.audio_transcript.delta"),
}


@dataclass
class RealtimeBackend:
    """`modern`: the dialect of 2025-08. `piece_s`: from one piece of an answer to the next; 0 is all at once.

    late: pieces that still come after an answer was cancelled. key: without it a client is refused.
    """

    modern: bool = True
    answer_ms: int = 2_000
    piece_s: float = 0.0
    late: int = 0
    key: str = ""
    created: dict[str, Any] | None = None  # in the place of session.created
    url: str = ""
    connections: int = 0
    settings: list[dict[str, Any]] = field(default_factory=list)
    heard_ms: float = 0.0  # of the microphone
    truncated: dict[str, int] = field(default_factory=dict)  # ms, by item
    cancelled: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)  # messages that were wrong, by code
    _made: dict[str, float] = field(default_factory=dict)  # ms of sound, by item
    _sockets: set[web.WebSocketResponse] = field(default_factory=set)
    _answering: asyncio.Task[None] | None = None
    _loud_ms: float = 0.0
    _quiet_ms: float = 0.0
    _speaking: bool = False

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[RealtimeBackend]:
        app = web.Application()
        app.router.add_get("/v1/realtime", self._serve)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        self.url = f"ws://127.0.0.1:{port}/v1/realtime?model=tone"
        try:
            yield self
        finally:
            await self.drop()
            await runner.cleanup()

    async def drop(self) -> None:
        """End all connections."""
        if self._answering is not None:
            self._answering.cancel()
        for socket in list(self._sockets):
            await socket.close()

    async def send(self, kind: str, **fields: Any) -> None:
        await self.send_text(json.dumps({"type": kind, "event_id": "event_1", **fields}))

    async def send_text(self, text: str) -> None:
        for socket in list(self._sockets):
            with contextlib.suppress(ConnectionError):
                await socket.send_str(text)

    async def send_bytes(self, data: bytes) -> None:
        for socket in list(self._sockets):
            await socket.send_bytes(data)

    def answer(self) -> None:
        """Say something."""
        self._answering = asyncio.create_task(self._answer(f"_{len(self._made) + 1}"))

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
            raise web.HTTPUnauthorized
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections += 1
        self._sockets.add(socket)
        session = {"type": "realtime", "audio": {}} if self.modern else {"input_audio_format": "pcm16"}
        await socket.send_str(json.dumps(self.created or {"type": "session.created", "session": session}))
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await self._take(json.loads(message.data))
        self._sockets.discard(socket)
        return socket

    async def _take(self, event: dict[str, Any]) -> None:
        match event.pop("type"):
            case "session.update":
                await self._configure(event["session"])
            case "input_audio_buffer.append":
                await self._listen(np.frombuffer(base64.b64decode(event["audio"], validate=True), "<i2"))
            case "response.cancel":
                await self._cancel(event.get("response_id", ""))
            case "conversation.item.truncate":
                await self._truncate(event)
            case kind:
                await self._refuse("unknown_event", str(kind))

    async def _configure(self, session: dict[str, Any]) -> None:
        modern = session.get("type") == "realtime" and session["audio"]["input"]["format"]["rate"] == SAMPLE_RATE
        if modern is not self.modern or (not modern and session.get("output_audio_format") != "pcm16"):
            await self._refuse("unknown_parameter", str(session))
        self.settings.append(session)

    async def _listen(self, samples: np.ndarray[Any, np.dtype[np.int16]]) -> None:
        length_ms = 1000 * len(samples) / SAMPLE_RATE
        self.heard_ms += length_ms
        loud = np.abs(samples.astype(np.float32)).max(initial=0) > LOUD * 32768
        self._loud_ms = self._loud_ms + length_ms if loud else 0.0
        self._quiet_ms = 0.0 if loud else self._quiet_ms + length_ms
        if not self._speaking and self._loud_ms >= BEGIN_MS:
            self._speaking = True
            await self.send("input_audio_buffer.speech_started", audio_start_ms=0, item_id="person_1")
            if self._answering is not None and not self._answering.done():
                self._answering.cancel()
        elif self._speaking and self._quiet_ms >= END_MS:
            self._speaking = False
            await self.send("input_audio_buffer.speech_stopped", audio_end_ms=0, item_id="person_1")
            said = "conversation.item.input_audio_transcription"
            await self.send(f"{said}.delta", item_id="person_1", content_index=0, delta=SPOKEN[:5])
            await self.send(f"{said}.completed", item_id="person_1", content_index=0, transcript=SPOKEN)
            self.answer()

    async def _answer(self, number: str) -> None:
        delta, done, words = NAMES[self.modern]
        response, item = f"response{number}", f"item{number}"
        part = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        sound = steps([0.5] * (self.answer_ms // 200))
        size = SAMPLE_RATE * 2 * PIECE_MS // 1000
        pieces = [base64.b64encode(sound[start : start + size]).decode() for start in range(0, len(sound), size)]
        await self.send("response.created", response={"id": response, "status": "in_progress"})
        self._made[item] = 0.0
        status = "completed"
        try:
            for word in TRANSCRIPT.split(" "):
                await self.send(words, **part, delta=f" {word}")
            for piece in pieces:
                self._made[item] += PIECE_MS
                await self.send(delta, **part, delta=piece)
                await asyncio.sleep(self.piece_s)
            await self.send(done, **part)
        except asyncio.CancelledError:
            status = "cancelled"
            for piece in pieces[: self.late]:
                self._made[item] += PIECE_MS
                await self.send(delta, **part, delta=piece)
        await self.send("response.done", response={"id": response, "status": status})

    async def _cancel(self, response: str) -> None:
        if self._answering is None or self._answering.done():
            await self._refuse("response_cancel_not_active", "there is no active response")
        else:
            self._answering.cancel()
            self.cancelled.append(response)

    async def _truncate(self, event: dict[str, Any]) -> None:
        item, end_ms = event["item_id"], event["audio_end_ms"]
        if item not in self._made or event["content_index"] != 0 or not 0 <= end_ms <= self._made[item]:
            await self._refuse("invalid_value", str(event))
        else:
            self.truncated[item] = end_ms
            await self.send("conversation.item.truncated", **event)

    async def _refuse(self, code: str, message: str) -> None:
        self.refused.append(code)
        await self.send("error", error={"type": "invalid_request_error", "code": code, "message": message})
