"""An agent of the OpenAI Realtime protocol that repeats what it hears, to try `avatar serve --realtime` without a key.

    python examples/realtime_backend.py &
    avatar serve --realtime ws://localhost:8765

Turns are found by loudness alone; a real backend does better.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
from typing import Any

import numpy as np
from aiohttp import WSMsgType, web

RATE = 24_000
LOUD = 0.02  # of full scale
BEGIN_S, END_S = 0.1, 0.6  # of sound until somebody speaks, of silence until they have finished
LONGEST_S = 20
PIECE = RATE // 10 * 2  # bytes


class Echo:
    """One connection."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket
        self._heard = bytearray()
        self._loud_s = self._quiet_s = 0.0
        self._speaking = False
        self._answers = 0
        self._answering: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Listen and answer until the client leaves."""
        await self._send("session.created", session={"type": "realtime", "audio": {}})
        async for message in self._socket:
            if message.type is WSMsgType.TEXT:
                await self._take(json.loads(message.data))
        self._cancel()

    async def _take(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "session.update":
                await self._send("session.updated", session=event["session"])
            case "input_audio_buffer.append":
                await self._listen(base64.b64decode(event["audio"]))
            case "response.cancel":
                self._cancel()
            case "conversation.item.truncate":
                print(f"interrupted: {event['audio_end_ms']} ms of {event['item_id']} were heard")

    async def _listen(self, sound: bytes) -> None:
        samples = np.frombuffer(sound, "<i2")
        seconds = len(samples) / RATE
        loud = np.abs(samples.astype(np.float32)).max(initial=0) > LOUD * 32768
        self._loud_s = self._loud_s + seconds if loud else max(0.0, self._loud_s - seconds)
        self._quiet_s = 0.0 if loud else self._quiet_s + seconds
        self._heard += sound
        del self._heard[: -(LONGEST_S if self._speaking else 1) * RATE * 2]
        if not self._speaking and self._loud_s >= BEGIN_S:
            self._speaking = True
            self._cancel()
            await self._send("input_audio_buffer.speech_started", item_id="heard")
        elif self._speaking and self._quiet_s >= END_S:
            self._speaking, self._loud_s = False, 0.0
            await self._send("input_audio_buffer.speech_stopped", item_id="heard")
            self._answering = asyncio.create_task(self._answer(bytes(self._heard)))
            self._heard.clear()

    async def _answer(self, sound: bytes) -> None:
        self._answers += 1
        response, item = f"response_{self._answers}", f"item_{self._answers}"
        part = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        await self._send("response.created", response={"id": response, "status": "in_progress"})
        status = "cancelled"
        try:
            await self._send("response.output_audio_transcript.delta", **part, delta="(what you said)")
            for start in range(0, len(sound), PIECE):
                piece = base64.b64encode(sound[start : start + PIECE]).decode()
                await self._send("response.output_audio.delta", **part, delta=piece)
            await self._send("response.output_audio.done", **part)
            status = "completed"
        finally:
            await self._send("response.done", response={"id": response, "status": status})

    def _cancel(self) -> None:
        if self._answering is not None:
            self._answering.cancel()

    async def _send(self, kind: str, **fields: Any) -> None:
        if not self._socket.closed:
            await self._socket.send_str(json.dumps({"type": kind, **fields}))


async def connect(request: web.Request) -> web.StreamResponse:
    """A client has come."""
    socket = web.WebSocketResponse(max_msg_size=1 << 20)
    await socket.prepare(request)
    await Echo(socket).serve()
    return socket


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description="An agent of the Realtime protocol that repeats what it hears.")
    parser.add_argument("--port", type=int, default=8765)
    app = web.Application()
    app.router.add_get("/{path:.*}", connect)
    web.run_app(app, host="localhost", port=parser.parse_args().port)


if __name__ == "__main__":
    main()
