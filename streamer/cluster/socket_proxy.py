"""Proxy a caller's WebSocket to a worker, message by message.

Nothing is queued here: a slow reader slows the writer down through TCP flow control (backpressure).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

import aiohttp
from aiohttp import WSCloseCode, WSMessage, WSMsgType, hdrs, web

from streamer.cluster.proxy import passed_back
from streamer.core.aio import until_first

MOST_MESSAGE = 256 << 10  # bytes; the worker has its own, smaller limit
HEARTBEAT_S = 15.0
CLOSE_S = 1.0
UNSENDABLE = frozenset({1004, 1005, 1006, 1015})  # RFC 6455, 7.4.1: never in a close frame
HANDSHAKE = {"Upgrade": "websocket", "Connection": "Upgrade"}
SWITCHED = 101


class _Socket(Protocol):
    """WebSocket of the caller or of the worker."""

    async def receive(self) -> WSMessage: ...
    async def send_str(self, data: str) -> None: ...
    async def send_bytes(self, data: bytes) -> None: ...


class _Ending:
    """Close code and reason of the socket that closed first; the other one is closed with the same."""

    def __init__(self) -> None:
        self.code, self.reason = int(WSCloseCode.GOING_AWAY), b""

    def note(self, message: WSMessage) -> None:
        """Store the close code and reason from a socket's last message, if they may be sent."""
        code = message.data if message.type is WSMsgType.CLOSE else getattr(message.data, "code", None)
        if isinstance(code, int) and 1000 <= code < 5000 and code not in UNSENDABLE:
            self.code = int(code)
            self.reason = (message.extra or "").encode() if message.type is WSMsgType.CLOSE else b""


async def forward_socket(
    http: aiohttp.ClientSession, request: web.Request, url: str, headers: Mapping[str, str]
) -> web.StreamResponse:
    """Proxy a caller's WebSocket until either end closes; if the worker refuses it, return the worker's response.

    Raises:
        aiohttp.ClientError, OSError, TimeoutError: the worker cannot be reached.
    """
    offered = [text.strip() for text in request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "").split(",") if text]
    plain = {name: value for name, value in headers.items() if not name.lower().startswith("sec-websocket-")}
    try:
        worker = await http.ws_connect(
            url, headers=plain, protocols=offered, max_msg_size=MOST_MESSAGE, heartbeat=HEARTBEAT_S, compress=0
        )
    except aiohttp.WSServerHandshakeError:  # has no response body: repeat the request to forward it
        async with http.get(url, headers={**headers, **HANDSHAKE}, read_until_eof=False) as response:
            if response.status == SWITCHED:
                raise web.HTTPServiceUnavailable(text="try again in a moment\n") from None
            return await passed_back(request, response)
    async with worker:
        chosen = [worker.protocol] if worker.protocol else []
        caller = web.WebSocketResponse(
            max_msg_size=MOST_MESSAGE, compress=False, heartbeat=HEARTBEAT_S, timeout=CLOSE_S, protocols=chosen
        )
        await caller.prepare(request)
        ending = _Ending()
        await until_first(_pump(caller, worker, ending), _pump(worker, caller, ending))
        await asyncio.gather(
            caller.close(code=ending.code, message=ending.reason),
            worker.close(code=ending.code, message=ending.reason),
            return_exceptions=True,
        )
    return caller


async def _pump(source: _Socket, sink: _Socket, ending: _Ending) -> None:
    """Copy messages until the source closes. While the sink's buffer is full, nothing is read (backpressure)."""
    try:
        while True:
            message = await source.receive()
            await asyncio.sleep(0)  # `receive` does not yield for buffered messages: a flood would block other tasks
            if message.type is WSMsgType.TEXT:
                await sink.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await sink.send_bytes(message.data)
            else:
                return ending.note(message)
    except (ConnectionError, aiohttp.ClientError):
        return None
