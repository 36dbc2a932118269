"""A cluster in one process: workers that speak the real protocol, whose sessions have no media, and a board."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import msgspec
from aiohttp import WSMsgType, web
from aiohttp.typedefs import Handler

from streamer.access.grant import EVERYTHING, Grant
from streamer.cluster.board import Board
from streamer.cluster.enclosure import Enclosure
from streamer.cluster.messages import Report, View
from streamer.cluster.signed import Signer
from streamer.core.aio import MonotonicClock
from streamer.session.control_protocol import State
from streamer.session.lateness import Lateness


@dataclass
class FakeSession:
    """What is known of a session from outside; `state`, `waiting` and `late_ms` are the test's."""

    house: dict[str, FakeSession]
    token: str
    key: str | None
    state: Literal["idle", "speaking"] = "idle"
    waiting: int = 0
    lateness: Lateness = field(default_factory=Lateness)
    reason: str = ""

    @property
    def conversation(self) -> Any:
        return self

    playout = speech = pushed = conversation

    @property
    def control(self) -> Any:
        return Controlled(State(self.state, False, False))

    async def close(self, reason: str) -> None:
        self.reason = reason
        self.house.pop(self.token, None)


@dataclass
class Controlled:
    state: State


class FakeLobby:
    """Sessions of one worker. It keeps no count of its places: that is left to those who reserve them."""

    def __init__(self, places: int) -> None:
        self.most_sessions = places
        self.ready = True
        self.sessions: dict[str, FakeSession] = {}
        self.most_seen = 0

    @property
    def open_sessions(self) -> int:
        return len(self.sessions)

    def find(self, name: str, asking: Grant = EVERYTHING) -> FakeSession | None:
        found = (each for each in self.sessions.values() if name in (each.token, each.key))
        return next(found, None)

    async def admit(self, key: str | None) -> FakeSession:
        if key is not None and (older := self.find(key)) is not None:
            await older.close("a newer call has its key")
        session = FakeSession(self.sessions, secrets.token_urlsafe(24), key)
        await asyncio.sleep(0)
        self.sessions[session.token] = session
        self.most_seen = max(self.most_seen, len(self.sessions))
        await asyncio.sleep(0.002)  # the answer takes a moment
        return session


class FakeWorker:
    """One worker, at `url`."""

    def __init__(self, name: str, places: int, signer: Signer, node: str = "") -> None:
        self.name = name
        self.lobby: Any = FakeLobby(places)
        self.enclosure = Enclosure(name, node or name, signer.pass_word, cast(Any, self.lobby), MonotonicClock())
        self.url = ""
        self.answers = True
        self.hangs = False  # it takes connections, and nothing comes back
        self.heard: list[web.Request] = []

    async def start(self) -> None:
        app = web.Application(middlewares=[self.hang, self.enclosure.middleware()], client_max_size=8 << 20)
        app.add_routes(
            [
                web.post("/session", self.open),
                web.post("/whip", self.open),
                web.get("/session/{token}", self.look),
                web.delete("/session/{token}", self.close),
                web.get("/session/{token}/speech", self.speech),
                web.get("/avatars", self.avatars),
                web.post("/echo", self.echo),
            ]
        )
        self.runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)  # as servers do
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}/"

    @web.middleware
    async def hang(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        while self.hangs:  # noqa: ASYNC110 - a test sets it
            await asyncio.sleep(0.01)
        return await handler(request)

    async def kill(self) -> None:
        """It is gone, with all that it held."""
        self.answers = False
        self.lobby.sessions.clear()
        await self.runner.cleanup()

    async def open(self, request: web.Request) -> web.Response:
        self.heard.append(request)
        offer = await request.text()
        if offer == "bad":
            raise web.HTTPBadRequest(text="no offer\n")
        session = await self.lobby.admit(request.query.get("key"))
        headers = {"Location": f"{request.path}/{session.token}", "Avatar-Watch": f"/whep/watch-{session.token}"}
        return web.Response(status=201, text=f"answer to {offer}", content_type="application/sdp", headers=headers)

    async def look(self, request: web.Request) -> web.Response:
        session = self._found(request)
        return web.json_response({"worker": self.name, "key": session.key, "caller": request.remote})

    async def close(self, request: web.Request) -> web.Response:
        await self._found(request).close("the client left")
        return web.Response(text="ended\n")

    async def avatars(self, request: web.Request) -> web.Response:
        return web.json_response({"avatars": [], "worker": self.name})

    async def echo(self, request: web.Request) -> web.Response:
        return web.Response(body=await request.read(), headers={"Location": "/things/one"})

    async def speech(self, request: web.Request) -> web.StreamResponse:
        """Sends back what it hears, until it hears `end`; `flood` asks for more than any buffer holds."""
        self._found(request)
        if not web.WebSocketResponse().can_prepare(request).ok:
            raise web.HTTPUpgradeRequired(text="speech comes by WebSocket\n")
        if "taken" in request.query:
            raise web.HTTPConflict(text="another client speaks\n")
        socket = web.WebSocketResponse(max_msg_size=128 << 10)
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                await socket.send_bytes(message.data)
            elif message.data == "end":
                await socket.close(code=4000, message=b"as you wish")
            else:
                await socket.send_str(message.data)
        return socket

    def _found(self, request: web.Request) -> FakeSession:
        session: FakeSession | None = self.lobby.find(request.match_info["token"])
        if session is None:
            raise web.HTTPNotFound(text="no such session\n")
        return session


class LocalDirectory:
    """What a gateway knows, straight from a board; it is as old as the last `refresh`."""

    def __init__(self, workers: list[FakeWorker]) -> None:
        self.board = Board(MonotonicClock())
        self.workers = workers
        self.view = View()
        self.remembered: dict[str, Report] = {}

    def refresh(self) -> None:
        for worker in self.workers:
            if worker.answers:
                report = msgspec.structs.replace(worker.enclosure.report, url=worker.url)
                self.board.take(report)
            else:
                self.board.forget(worker.name)
        self.look_at_board()

    def look_at_board(self) -> None:
        self.view = self.board.view()
        self.remembered |= {report.worker: report for report in self.view.workers}

    def find(self, worker: str) -> Report | None:
        return self.remembered.get(worker)

    def lost(self, worker: str) -> None:
        self.view = View(tuple(each for each in self.view.workers if each.worker != worker), self.view.waiting)

    async def has_turn(self, ticket: str | None) -> bool:
        return self.board.has_turn(ticket)

    async def wait(self, ticket: str, address: str) -> int | None:
        return self.board.wait(ticket, address)

    async def leave(self, ticket: str) -> None:
        self.board.line.leave(ticket)


@contextlib.asynccontextmanager
async def workers(signer: Signer, *places: int) -> AsyncIterator[list[FakeWorker]]:
    """So many workers with so many places, named w0, w1, ..."""
    found = [FakeWorker(f"w{number}", count, signer) for number, count in enumerate(places)]
    for worker in found:
        await worker.start()
    try:
        yield found
    finally:
        for worker in found:
            await worker.runner.cleanup()


@contextlib.asynccontextmanager
async def refreshed(directory: LocalDirectory, every_s: float = 0.02) -> AsyncIterator[None]:
    """Keep the directory's view fresh."""

    async def run() -> None:
        while True:
            directory.refresh()
            await asyncio.sleep(every_s)

    directory.refresh()
    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()
