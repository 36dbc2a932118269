"""The control protocol over a WebSocket, for one session. Several clients may be connected."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import WSCloseCode, WSMsgType, web

from streamer.core.aio import MonotonicClock, until_first
from streamer.session.control_client import ControlClient, Controlled, Refused
from streamer.web.client_messages import ClientMessages, plain_socket

MOST_BYTES = 8 * 1024  # of a message, refused when it is announced
MOST_REASON = 120
MOST_CLIENTS = 8  # of a session


async def serve_control(session: Controlled, request: web.Request, able: Sequence[str]) -> web.StreamResponse:
    """Answer a request for the session's control socket, and serve it to its end.

    able: what the family's faces can be asked for. Raises HTTPException when it asks for no WebSocket.
    """
    if not web.WebSocketResponse().can_prepare(request).ok:
        raise web.HTTPUpgradeRequired(text="control comes by WebSocket; see docs/control.md\n")
    control = session.control
    if control.clients >= MOST_CLIENTS:
        raise web.HTTPServiceUnavailable(text=f"{MOST_CLIENTS} clients control this session already\n")
    socket = plain_socket(MOST_BYTES)
    control.clients += 1
    try:
        return await _served(session, request, socket, able)
    finally:
        control.clients -= 1


async def _served(
    session: Controlled, request: web.Request, socket: web.WebSocketResponse, able: Sequence[str]
) -> web.WebSocketResponse:
    await socket.prepare(request)
    client = ControlClient(session, able, MonotonicClock())
    try:
        await until_first(_read(request, socket, client), client.serve(socket.send_str))
        code, reason = WSCloseCode.GOING_AWAY, session.reason
    except Refused as error:
        code, reason = WSCloseCode.POLICY_VIOLATION, str(error)
    await socket.close(code=code, message=reason.encode()[:MOST_REASON])
    return socket


async def _read(request: web.Request, socket: web.WebSocketResponse, client: ControlClient) -> None:
    messages = ClientMessages(request, socket, MonotonicClock())
    while (message := await messages.next()) is not None:
        client.take(message.data if message.type is WSMsgType.TEXT else None)
