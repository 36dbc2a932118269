"""The control protocol over a WebSocket, for one session. Several clients may be connected."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiohttp import WSCloseCode, WSMsgType, web

from streamer.core.aio import MonotonicClock, until_first
from streamer.session.control_client import ControlClient, Controlled, Refused
from streamer.web.access import SUBPROTOCOL

HEARTBEAT_S = 15.0
MOST_BYTES = 8 * 1024  # of a message, refused when it is announced
MOST_REASON = 120


async def serve_control(session: Controlled, request: web.Request, able: Sequence[str]) -> web.StreamResponse:
    """Answer a request for the session's control socket, and serve it to its end.

    able: what the family's faces can be asked for. Raises HTTPException when it asks for no WebSocket.
    """
    if not web.WebSocketResponse().can_prepare(request).ok:
        raise web.HTTPUpgradeRequired(text="control comes by WebSocket; see docs/control.md\n")
    socket = web.WebSocketResponse(
        max_msg_size=MOST_BYTES, compress=False, heartbeat=HEARTBEAT_S, timeout=1.0, protocols=(SUBPROTOCOL,)
    )
    await socket.prepare(request)
    client = ControlClient(session, able, MonotonicClock())
    try:
        await until_first(_read(socket, client), client.serve(socket.send_str))
        code, reason = WSCloseCode.GOING_AWAY, session.reason
    except Refused as error:
        code, reason = WSCloseCode.POLICY_VIOLATION, str(error)
    await socket.close(code=code, message=reason.encode()[:MOST_REASON])
    return socket


async def _read(socket: web.WebSocketResponse, client: ControlClient) -> None:
    while (message := await socket.receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY):
        await asyncio.sleep(0)  # `receive` does not wait for what is there: a flood would hold up all others
        client.take(message.data if message.type is WSMsgType.TEXT else None)
