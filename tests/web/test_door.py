"""Connections are bounded in number and in time, and whoever holds some open keeps nobody else out."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

import pytest
from aiohttp import web

from streamer.web.descriptors import most_connections
from streamer.web.door import Door, DoorLimits
from streamer.web.listen import listen
from tests.fakes.clock import FakeClock
from tests.waiting import eventually

PATIENCE_S = 60.0
LIMITS = DoorLimits(connections=4, header_s=10.0, idle_s=30.0, request_s=180.0)
SOON_S = 1.0  # after a limit, it has been noticed


class House:
    """A server behind a door, whose time stands still unless it is moved: / answers at once, or when a body has come,
    /slow when it is told to, /speech like a socket that stays."""

    def __init__(self, limits: DoorLimits) -> None:
        self.clock = FakeClock()
        self.release = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.waiting = 0
        self._stack = AsyncExitStack()
        self._limits = limits

    async def open(self) -> None:
        door = self.door = Door(lambda: protocol(), self._limits, self.clock)
        app = web.Application(middlewares=[door.middleware()])
        app.add_routes([web.get("/", self._at_once), web.post("/", self._when_whole)])
        app.add_routes([web.get("/slow", self._slow), web.get("/speech", self._slow)])
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        assert runner.server is not None
        protocol = runner.server
        listener = listen("127.0.0.1", 0)
        self.port = listener.getsockname()[1]
        serving = asyncio.create_task(door.serve(listener))
        self._stack.callback(serving.cancel)

    async def close(self) -> None:
        self.release.set()
        await self._stack.aclose()

    async def _at_once(self, request: web.Request) -> web.Response:
        return web.Response(text="here\n")

    async def _when_whole(self, request: web.Request) -> web.Response:
        self.waiting += 1
        return web.Response(text=f"{len(await request.read())} bytes\n")

    async def _slow(self, request: web.Request) -> web.Response:
        self.waiting += 1
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return web.Response(text="at last\n")

    async def connect(self, text: str = "") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._stack.callback(writer.close)
        writer.write(text.encode())
        return reader, writer

    async def ask(self, path: str = "/") -> str:
        reader, writer = await self.connect(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        async with asyncio.timeout(PATIENCE_S):
            answer = await reader.read()
        writer.close()
        return answer.decode().rpartition("\r\n\r\n")[2]


@pytest.fixture
async def house() -> AsyncIterator[House]:
    made = House(LIMITS)
    await made.open()
    yield made
    await made.close()


async def is_closed(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(PATIENCE_S):
        with suppress(ConnectionError):
            assert await reader.read() == b""


async def test_countless_half_requests_block_no_caller(house: House) -> None:
    held = [await house.connect("GET / HTTP/1.1\r\nHost: loc") for _ in range(20)]
    for _ in range(5):
        assert await house.ask() == "here\n"
    assert house.door.refused >= 16
    await house.clock.advance(LIMITS.header_s + SOON_S)
    for reader, _ in held:
        await is_closed(reader)


async def test_a_header_that_does_not_come_is_not_waited_for_for_long(house: House) -> None:
    reader, writer = await house.connect("GET / HTTP/1.1\r\n")
    await eventually(lambda: house.door.connections == 1)
    await house.clock.advance(LIMITS.header_s - SOON_S)
    assert house.door.connections == 1
    await house.clock.advance(2 * SOON_S)
    await is_closed(reader)
    assert house.door.timed_out == 1
    writer.close()


async def test_a_connection_that_asks_nothing_more_is_closed(house: House) -> None:
    reader, _ = await house.connect("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    async with asyncio.timeout(PATIENCE_S):
        assert b"here" in await reader.readuntil(b"here\n")
    await house.clock.advance(LIMITS.header_s + SOON_S)
    assert house.door.connections == 1
    await house.clock.advance(LIMITS.idle_s)
    await is_closed(reader)


async def test_an_answer_is_waited_for_longer_than_a_header_and_not_for_ever(house: House) -> None:
    asking = asyncio.create_task(house.ask("/slow"))
    await eventually(lambda: house.waiting == 1)
    await house.clock.advance(2 * LIMITS.header_s)
    assert house.door.connections == 1
    await house.clock.advance(LIMITS.request_s)
    with suppress(ConnectionError):
        assert await asking == ""
    await asyncio.wait_for(house.cancelled.wait(), PATIENCE_S)


async def test_a_speech_socket_stays(house: House) -> None:
    asking = asyncio.create_task(house.ask("/speech"))
    await eventually(lambda: house.waiting == 1)
    await house.clock.advance(2 * LIMITS.request_s)
    assert house.door.connections == 1
    house.release.set()
    assert await asking == "at last\n"


async def test_requests_under_way_are_not_dropped_for_newcomers() -> None:
    house = House(LIMITS)
    await house.open()
    asking = [asyncio.create_task(house.ask("/slow")) for _ in range(LIMITS.connections)]
    await eventually(lambda: house.waiting == LIMITS.connections)
    with suppress(ConnectionError):
        assert await house.ask() == ""  # there is no room
    house.release.set()
    assert [await answer for answer in asking] == ["at last\n"] * LIMITS.connections
    await house.close()


async def test_bodies_that_do_not_come_keep_nobody_out(house: House) -> None:
    for _ in range(LIMITS.connections):
        await house.connect("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx")
    await eventually(lambda: house.waiting == LIMITS.connections)
    await house.clock.advance(LIMITS.body_s + SOON_S)
    assert await house.ask() == "here\n"
    assert house.door.refused == 1


async def test_a_request_that_is_given_up_is_cancelled(house: House) -> None:
    _, writer = await house.connect("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await eventually(lambda: house.waiting == 1)
    writer.close()
    await asyncio.wait_for(house.cancelled.wait(), PATIENCE_S)


async def test_one_address_has_a_share_of_the_connections() -> None:
    house = House(DoorLimits(connections=64, connections_each=2))
    await house.open()
    try:
        sockets = []
        for _ in range(3):
            made = socket.create_connection(("127.0.0.1", house.port), source_address=("127.0.0.2", 0))
            made.setblocking(False)
            sockets.append(made)
        first = sockets[0]
        async with asyncio.timeout(PATIENCE_S):
            with suppress(ConnectionError):
                assert await asyncio.get_running_loop().sock_recv(first, 1) == b""
        assert house.door.refused == 1
        for made in sockets:
            made.close()
    finally:
        await house.close()


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit")
def test_calls_keep_descriptors_of_their_own() -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        assert most_connections(256, 4) == 256
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= min(before[1], 4096)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
