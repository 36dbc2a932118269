"""A gateway's life: bind, serve, end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from random import SystemRandom

from aiohttp import web

from streamer.cluster.admission import Directory
from streamer.cluster.gateway import Gateway
from streamer.cluster.gateway_metrics import metrics_of
from streamer.cluster.proxy import connections
from streamer.cluster.signed import Signer
from streamer.core.aio import MonotonicClock
from streamer.core.limits import Limits
from streamer.server.app import HTTP
from streamer.web.descriptors import door_limits
from streamer.web.door import Door
from streamer.web.guard import guard
from streamer.web.listen import address, listen
from streamer.web.origins import Origins
from streamer.web.throttle import Throttles, throttled

CONNECTIONS = 2048


@dataclass(frozen=True)
class GatewayRates:
    """How fast requests are taken: (a second, at once). A page that talks asks once a second."""

    requests_each: tuple[float, int] = (60.0, 120)
    requests: tuple[float, int] = (2_000.0, 4_000)
    patience_s: float = 4.0


@dataclass(frozen=True)
class GatewayOptions:
    """Where a gateway listens, and whose pages may use it beside its own."""

    host: str = "localhost"
    port: int = 8080
    allowed_origins: tuple[str, ...] = ()
    rates: GatewayRates = GatewayRates()


@contextlib.asynccontextmanager
async def gateway(options: GatewayOptions, directory: Directory, signer: Signer) -> AsyncIterator[str]:
    """Serve while the context lasts; gives the address, which ends with a slash. Raises ConfigError."""
    limits, clock = Limits(), MonotonicClock()
    listener = listen(options.host, options.port)
    allowed = door_limits(0)
    door = Door(lambda: protocol(), replace(allowed, connections=max(CONNECTIONS, allowed.connections)), clock)
    rates = options.rates
    requests = Throttles(rates.requests_each, rates.requests, rates.patience_s, clock)
    async with connections() as http:
        handlers = Gateway(directory, signer, http, limits, SystemRandom())
        guarded = guard(options.host, "/obs", Origins(options.allowed_origins))
        middlewares = [door.middleware(), guarded, throttled(requests)]
        app = web.Application(middlewares=middlewares, client_max_size=limits.max_sdp_bytes)
        app.router.add_get("/metrics", metrics_of(handlers, directory, door))
        app.add_routes(handlers.routes())
        runner = web.AppRunner(app, access_log=None, **HTTP)
        await runner.setup()
        assert runner.server is not None  # it is there after `setup`
        protocol = runner.server
        serving = asyncio.create_task(door.serve(listener))
        try:
            yield address(options.host, listener)
        finally:
            serving.cancel()
            await runner.cleanup()
