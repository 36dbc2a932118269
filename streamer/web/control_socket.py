"""The control protocol of one session over a WebSocket. Several clients may be connected at once."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import WSCloseCode, WSMsgType, web

from streamer.core.aio import MonotonicClock, until_first
from streamer.session.control_client import ControlClient, Controlled, Refused
from streamer.web.client_messages import ClientMessages, plain_socket

MOST_BYTES = 8 * 1024  # of a message; a larger one is refused by its announced size
MOST_REASON = 120
MOST_CLIENTS = 8  # per session


async def serve_control(session: Controlled, request: web.Request, able: Sequence[str]) -> web.StreamResponse:
    """Accept a control WebSocket of the session and serve it until it closes.

    able: the controls that the family's faces support. Raises HTTPException if the request is not a WebSocket upgrade
    or the session has MOST_CLIENTS already.
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
