"""A client of numbers: what it is told, and what ends its connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp
import numpy as np
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from streamer.core.aio import MonotonicClock
from streamer.core.units.numbers import packed
from streamer.session.numbers import NumberNames, Numbers
from streamer.web.numbers_socket import MOST_CLIENTS, MOST_WAITING, serve_numbers
from tests.waiting import PATIENCE_S, eventually


class Session:
    """One that does what the test says."""

    delay_ms = 300

    def __init__(self, pictures: bool = False) -> None:
        self.numbers = None if pictures else Numbers(NumberNames(("jawOpen",), ("yaw",)))
        self.reason = ""
        self.over = asyncio.Event()

    async def ended(self) -> None:
        await self.over.wait()

    def show(self, frame: int, jaw: float) -> None:
        assert self.numbers is not None
        self.numbers.show(frame, packed(np.array([jaw, 5.0], np.float32)), None)


@asynccontextmanager
async def client_of(session: Session) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    app = web.Application()

    async def numbers(request: web.Request) -> web.StreamResponse:
        return await serve_numbers(session, request, MonotonicClock())

    app.router.add_get("/numbers", numbers)
    async with asyncio.timeout(PATIENCE_S), TestClient(TestServer(app)) as client:
        yield client


async def test_a_client_learns_the_names_and_then_every_frame() -> None:
    session = Session()
    async with client_of(session) as client, client.ws_connect("/numbers?format=names") as socket:
        hello = json.loads(await socket.receive_str())
        assert (hello["expression"], hello["head"], hello["hz"], hello["delay_ms"]) == (["jawOpen"], ["yaw"], 25, 300)
        for frame in range(3):
            session.show(frame, frame / 10)
        for frame in range(3):
            told = json.loads(await socket.receive_str())
            assert told == {
                "type": "frame", "time_ms": 40.0 * frame, "blendshapes": {"jawOpen": frame / 10}, "head": {"yaw": 5.0},
            }  # fmt: skip
        session.reason = "enough"
        session.over.set()
        closing = await socket.receive()
        assert (closing.data, closing.extra) == (1001, "enough")
        assert session.numbers is not None
        await eventually(lambda: session.numbers is not None and not session.numbers.watched)


async def test_a_client_that_talks_or_does_not_read_is_disconnected_and_others_go_on() -> None:
    session = Session()
    async with client_of(session) as client, client.ws_connect("/numbers") as other:
        await other.receive()
        async with client.ws_connect("/numbers") as socket:
            await socket.receive()
            await socket.send_str("x" * 200)
            closing = await socket.receive()
            assert (closing.data, closing.extra) == (1008, "numbers go one way")
        async with client.ws_connect("/numbers?hz=60") as socket:
            await socket.receive()
            for frame in range(MOST_WAITING + 2):  # at once: nobody reads so fast
                session.show(frame, 0.5)
            messages = [await socket.receive()]
            while messages[-1].type is aiohttp.WSMsgType.TEXT:
                messages.append(await socket.receive())
            assert messages[-1].extra == "numbers are not read"
        assert session.numbers is not None


async def test_pings_are_answered_and_a_flood_of_them_ends_the_connection_without_a_word() -> None:
    session = Session()
    async with client_of(session) as client, client.ws_connect("/numbers") as other:
        await other.receive()
        async with client.ws_connect("/numbers", autoping=False) as socket:
            await socket.receive()
            for _ in range(3):
                await socket.ping(b"there?")
                assert (await socket.receive()).data == b"there?"
            with suppress(ConnectionError):
                for _ in range(200):
                    await socket.ping()
            async with asyncio.timeout(PATIENCE_S):
                while (await socket.receive()).type is aiohttp.WSMsgType.PONG:
                    pass
            assert socket.closed
        session.show(0, 0.5)
        assert json.loads(await other.receive_str())["type"] == "frame"


async def test_what_cannot_be_served_is_one_line() -> None:
    async with client_of(Session()) as client:
        for query, status, words in (
            ("?hz=61", 400, "expected one of 25, 30, 50, 60"),
            ("?format=xml", 400, "expected lists or names"),
            ("", 426, "docs/numbers.md"),
        ):
            async with client.get(f"/numbers{query}") as response:
                text = await response.text()
                assert (response.status, text.count("\n")) == (status, 1)
                assert words in text
        sockets = [await client.ws_connect("/numbers") for _ in range(MOST_CLIENTS)]
        async with client.get("/numbers", headers=UPGRADE) as response:
            assert response.status == 503
        for socket in sockets:
            await socket.close()
    async with client_of(Session(pictures=True)) as client, client.get("/numbers") as response:
        assert (response.status, "pictures=0" in await response.text()) == (409, True)


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
