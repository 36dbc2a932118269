"""Reads a client's WebSocket messages, with a rate limit on pings and pongs, which our protocols do not count."""

from __future__ import annotations

import asyncio

from aiohttp import WSMessage, WSMsgType, web

from streamer.core.aio import Clock
from streamer.session.speech.speech_protocol import Allowance
from streamer.web.access import SUBPROTOCOL
from streamer.web.floods import FLOODED

HEARTBEAT_S = 15.0  # ping interval; a client that does not answer within half of it is disconnected
SEND_S = 5.0  # timeout for sending a pong
PINGS_PER_S, BURST = 2.0, 20.0  # client libraries send one every 20 s
DATA = (WSMsgType.TEXT, WSMsgType.BINARY)


def plain_socket(most_bytes: int) -> web.WebSocketResponse:
    """Return a WebSocket without compression, so that a message's announced size (at most `most_bytes`) is its real
    size. Pings are not answered automatically: its reader must count and answer them."""
    return web.WebSocketResponse(
        max_msg_size=most_bytes,
        compress=False,
        heartbeat=HEARTBEAT_S,
        timeout=1.0,
        autoping=False,
        protocols=(SUBPROTOCOL,),
    )


class ClientMessages:
    """Reader of a `plain_socket`."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse, clock: Clock) -> None:
        self._request, self._socket, self._clock = request, socket, clock
        self._pings = Allowance(PINGS_PER_S, BURST, clock.now())

    async def next(self) -> WSMessage | None:
        """Return the next data message; None when the client is gone or exceeded the ping rate."""
        while True:
            message = await self._socket.receive()
            # `receive` does not yield while messages are buffered: a flood would block all other tasks.
            await asyncio.sleep(0)
            if message.type in DATA:
                return message
            if message.type not in (WSMsgType.PING, WSMsgType.PONG):
                return None
            if not self._pings.take(1, self._clock.now()):
                self._break_off()  # a close handshake would have to read the rest of the flood first
                return None
            if message.type is WSMsgType.PING and not await self._answer(message):
                return None

    def _break_off(self) -> None:
        self._request[FLOODED] = True
        if self._request.transport is not None:
            self._request.transport.abort()

    async def _answer(self, ping: WSMessage) -> bool:
        try:
            async with asyncio.timeout(SEND_S):
                await self._socket.pong(ping.data)
        except (TimeoutError, ConnectionError):
            return False
        return True
