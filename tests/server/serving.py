"""A whole server in this process: all routes and what stands in front of them, on the family in miniature."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from engines.manifest import Manifest
from streamer.avatar.gallery import Gallery
from streamer.core.aio import MonotonicClock
from streamer.core.limits import Limits, RateLimits
from streamer.inference.messages import WorkerSettings
from streamer.inference.worker import InferenceWorker
from streamer.server.app import HTTP, asking_for_tokens
from streamer.server.options import ServeOptions
from streamer.server.registry import Lobby
from streamer.server.routes.handlers import Handlers
from streamer.web.descriptors import door_limits
from streamer.web.door import Door
from streamer.web.guard import guard
from streamer.web.throttle import Throttles, throttled
from tests.families import tiny_family

FREELY = (1e6, 1_000_000)
UNBOUNDED = RateLimits(
    requests_each=FREELY,
    requests=FREELY,
    offers_each=FREELY,
    offers=FREELY,
    sessions_each=FREELY,
    sessions=FREELY,
    pictures_each=FREELY,
    pictures=FREELY,
    figures_each=FREELY,
    figures=FREELY,
)


@asynccontextmanager
async def served(
    folder: Path, rates: RateLimits = UNBOUNDED, keys: Sequence[str] = ()
) -> AsyncIterator[tuple[str, Lobby]]:
    """A server's address; keys: by which tokens are checked, none is open to all."""
    manifest, limits, clock = Manifest.load(folder), Limits(), MonotonicClock()
    worker = InferenceWorker(WorkerSettings(folder, None, 1), tiny_family.SIZE**2)
    lobby = Lobby(worker, 16, limits, clock)
    door = Door(asyncio.Protocol, door_limits(16), clock)
    requests = Throttles(rates.requests_each, rates.requests, rates.patience_s, clock)
    handlers = Handlers(manifest, worker, lobby, limits, ServeOptions(), door, requests, rates=rates)
    checks = [guard("localhost", "/obs"), throttled(requests), asking_for_tokens(keys, rates)]
    app = web.Application(middlewares=checks, client_max_size=limits.max_sdp_bytes)
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
