"""Who floods sockets again and again opens none for a while; others do, and so does who waited."""

from __future__ import annotations

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from streamer.web.client_messages import ClientMessages
from streamer.web.floods import BURST, RATE, Floods
from streamer.web.throttle import PROXY_HEADER
from tests.fakes.clock import FakeClock

FLOODER, OTHER = {PROXY_HEADER: "192.0.2.1"}, {PROXY_HEADER: "192.0.2.2"}


def flooded_app(clock: FakeClock) -> web.Application:
    """A server of one socket, which answers nothing but pings."""

    async def listen(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        while await ClientMessages(request, socket, clock).next() is not None:
            await socket.send_str("heard")
        return socket

    async def page(request: web.Request) -> web.Response:
        return web.Response(text="a page")

    app = web.Application(middlewares=[Floods(clock).middleware()])
    app.add_routes([web.get("/socket", listen), web.get("/", page)])
    return app


async def flood(client: TestClient[web.Request, web.Application]) -> None:
    async with client.ws_connect("/socket", headers=FLOODER, autoping=False) as socket:
        try:
            for _ in range(500):
                await socket.ping()
        except ConnectionError:
            pass
        while (await socket.receive(60)).type is aiohttp.WSMsgType.PONG:
            pass


async def status(client: TestClient[web.Request, web.Application], headers: dict[str, str]) -> int:
    """The answer to an upgrade."""
    try:
        async with client.ws_connect("/socket", headers=headers) as socket:
            await socket.send_str("hello")
            assert (await socket.receive(60)).data == "heard"
            return 101
    except aiohttp.WSServerHandshakeError as error:
        return error.status


async def test_a_flooder_waits_and_nobody_else_does() -> None:
    clock = FakeClock()
    async with TestClient(TestServer(flooded_app(clock))) as client:
        for _ in range(BURST):
            assert await status(client, FLOODER) == 101
            await flood(client)
        assert await status(client, FLOODER) == 429
        assert await status(client, OTHER) == 101
        async with client.get("/", headers=FLOODER) as answer:
            assert answer.status == 200
        await clock.advance(1 / RATE)
        assert await status(client, FLOODER) == 101
