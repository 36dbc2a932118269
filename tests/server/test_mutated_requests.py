"""Some hundred mutated cases at each door of a server in this process: none is unexpected, and no session is harmed.

`python -m tests.measure.mutated` does the same with thousands, to a server of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from engines.manifest import Manifest
from streamer.avatar.gallery import Gallery
from streamer.core.aio import MonotonicClock
from streamer.core.limits import Limits, RateLimits
from streamer.inference.messages import WorkerSettings
from streamer.inference.worker import InferenceWorker
from streamer.measure.caller import Caller
from streamer.measure.onsets import vowels
from streamer.server.app import HTTP, not_the_clients, on_stray_error
from streamer.server.options import ServeOptions
from streamer.server.registry import Lobby
from streamer.server.routes.handlers import Handlers
from streamer.web.descriptors import door_limits
from streamer.web.door import Door
from streamer.web.guard import guard
from streamer.web.throttle import Throttles
from tests.families import tiny_family
from tests.measure.mutated.attack import Attack
from tests.measure.mutated.doors import DOORS
from tests.measure.mutated.exchange import Target
from tests.waiting import PATIENCE_S, eventually

CASES = 40
SEED = 1
FREELY = (1e6, 1_000_000)
RATES = RateLimits(sessions_each=FREELY, sessions=FREELY, pictures_each=FREELY, pictures=FREELY)


class Complaints(logging.Handler):
    """Errors that were logged, and those that nobody awaited."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []
        self.addFilter(not_the_clients)

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(self.format(record))


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[str, Lobby]]:
    """A server's address, without rates: they would only take time."""
    manifest, limits, clock = Manifest.load(folder), Limits(), MonotonicClock()
    worker = InferenceWorker(WorkerSettings(folder, None, 1), tiny_family.SIZE**2)
    lobby = Lobby(worker, 16, limits, clock)
    door = Door(asyncio.Protocol, door_limits(16), clock)
    requests = Throttles(FREELY, FREELY, PATIENCE_S, clock)
    handlers = Handlers(manifest, worker, lobby, limits, ServeOptions(), door, requests, rates=RATES)
    app = web.Application(middlewares=[guard("localhost", "/obs")], client_max_size=limits.max_sdp_bytes)
    app.add_routes(handlers.routes())
    runner = web.AppRunner(app, access_log=None, **HTTP)
    try:
        ready = await worker.start()
        handlers.gallery = Gallery.load(manifest, ready.avatars, ready.default_avatar)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        yield f"http://{host}:{port}/", lobby
    finally:
        await lobby.close()
        await worker.stop()
        await runner.cleanup()
        await handlers.close()


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.usefixtures("loopback")
async def test_whatever_is_sent_is_expected_and_harms_no_session(tiny_folder: Path) -> None:
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    asyncio.get_running_loop().set_exception_handler(on_stray_error)
    try:
        async with served(tiny_folder) as (url, lobby), Caller(url, vowels(120.0)) as caller:
            session, watch = caller.location.removeprefix(url), caller.watch.lstrip("/")
            for door in DOORS.values():
                attack = Attack(door, Target(url, session, watch), SEED)
                await attack.run(CASES)
                assert not attack.harm
                assert attack.count >= CASES, attack.tried
                assert not caller.ended
            packets = len(caller.recording.sound)
            await eventually(lambda: len(caller.recording.sound) > packets + 25)
            await eventually(lambda: lobby.open_sessions == 1)
    finally:
        logging.getLogger().removeHandler(complaints)
    assert complaints.heard == []
