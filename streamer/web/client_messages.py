"""What a client says on a WebSocket, at a rate: pings and pongs, which no protocol of ours counts, are counted, too."""

from __future__ import annotations

import asyncio

from aiohttp import WSMessage, WSMsgType, web

from streamer.core.aio import Clock
from streamer.session.speech.speech_protocol import Allowance
from streamer.web.access import SUBPROTOCOL
from streamer.web.floods import FLOODED

HEARTBEAT_S = 15.0  # a client that does not answer a ping within half of it is gone
SEND_S = 5.0  # for a pong to be taken
PINGS_PER_S, BURST = 2.0, 20.0  # a client library sends one in 20 s
DATA = (WSMsgType.TEXT, WSMsgType.BINARY)


def plain_socket(most_bytes: int) -> web.WebSocketResponse:
    """A socket whose messages are not compressed, so that their announced size, `most_bytes` at most, is the real one;
    pings are for its reader to count and answer."""
    return web.WebSocketResponse(
        max_msg_size=most_bytes,
        compress=False,
        heartbeat=HEARTBEAT_S,
        timeout=1.0,
        autoping=False,
        protocols=(SUBPROTOCOL,),
    )


class ClientMessages:
    """Reads a `plain_socket`."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse, clock: Clock) -> None:
        self._request, self._socket, self._clock = request, socket, clock
        self._pings = Allowance(PINGS_PER_S, BURST, clock.now())

    async def next(self) -> WSMessage | None:
        """The next message; None when the client has gone, or is not worth a word."""
        while True:
            message = await self._socket.receive()
            # `receive` does not wait for what is there: a flood would hold up all others.
            await asyncio.sleep(0)
            if message.type in DATA:
                return message
            if message.type not in (WSMsgType.PING, WSMsgType.PONG):
                return None
            if not self._pings.take(1, self._clock.now()):
                self._break_off()  # to close politely is to read all that comes before the answer
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
