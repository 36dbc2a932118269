"""The gateway's server: listen, serve, shut down."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from random import SystemRandom
from typing import Any

from aiohttp import web

from streamer.access.tokens import Verifier
from streamer.cluster.admission import PATIENCE_S, Directory
from streamer.cluster.enclosure import OPENING
from streamer.cluster.gateway import Gateway
from streamer.cluster.gateway_metrics import metrics_of
from streamer.cluster.proxy import connections
from streamer.cluster.signed import Signer
from streamer.core.aio import MonotonicClock
from streamer.core.limits import Limits, RateLimits
from streamer.server.app import HTTP, asking_for_tokens
from streamer.server.routes.scopes import SCOPES
from streamer.web.descriptors import door_limits
from streamer.web.door import Door
from streamer.web.guard import guard
from streamer.web.listen import address, listen
from streamer.web.origins import Origins
from streamer.web.throttle import Throttles, throttled

CONNECTIONS = 2048


@dataclass(frozen=True)
class GatewayRates:
    """Request rate limits: (per second, burst). A page with an open session sends one request per second.

    patience_s: a request that would have to wait longer is refused.
    """

    requests_each: tuple[float, int] = (60.0, 120)
    requests: tuple[float, int] = (2_000.0, 4_000)
    patience_s: float = 4.0


@dataclass(frozen=True)
class GatewayOptions:
    """Options of a gateway: its address, other origins whose pages may use it, the keys for checking tokens, rate
    limits, and how long a caller is held while no worker answers (`Admission`).
    """

    host: str = "localhost"
    port: int = 8080
    allowed_origins: tuple[str, ...] = ()
    token_keys: tuple[str, ...] = ()
    rates: GatewayRates = GatewayRates()
    patience_s: float = PATIENCE_S


class _Opening(dict[tuple[str, str], tuple[str, ...]]):
    """Token scopes of a gateway's routes. Routes that open a session need the same scopes as on a server, so that no
    caller without a valid token takes a place or joins the line. All others are open here; workers check their scopes.
    """

    def __init__(self) -> None:
        super().__init__({route: scopes for route, scopes in SCOPES.items() if route[1] in OPENING})

    def __missing__(self, route: tuple[str, str]) -> tuple[str, ...]:
        return ()

    def get(self, route: tuple[str, str], default: Any = None) -> tuple[str, ...]:
        """Return the scopes of a route; unlike `dict.get`, return () for an unknown one."""
        return self[route]


@contextlib.asynccontextmanager
async def gateway(options: GatewayOptions, directory: Directory, signer: Signer) -> AsyncIterator[str]:
    """Serve while the context lasts; yield the address, which ends with a slash. Raises ConfigError."""
    limits, clock = Limits(), MonotonicClock()
    listener = listen(options.host, options.port)
    allowed = door_limits(0)
    door = Door(lambda: protocol(), replace(allowed, connections=max(CONNECTIONS, allowed.connections)), clock)
    rates = options.rates
    requests = Throttles(rates.requests_each, rates.requests, rates.patience_s, clock)
    async with connections() as http:
        verifier = Verifier(options.token_keys) if options.token_keys else None
        handlers = Gateway(directory, signer, http, limits, SystemRandom(), verifier, clock, options.patience_s)
        guarded = guard(options.host, "/obs", Origins(options.allowed_origins))
        tokens = asking_for_tokens(options.token_keys, RateLimits(), _Opening())
        middlewares = [door.middleware(), guarded, throttled(requests), tokens]
        app = web.Application(middlewares=middlewares, client_max_size=limits.max_sdp_bytes)
        app.router.add_get("/metrics", metrics_of(handlers, directory, door))
        app.add_routes(handlers.routes())
        runner = web.AppRunner(app, access_log=None, **HTTP)
        await runner.setup()
        assert runner.server is not None  # set by `setup`
        protocol = runner.server
        serving = asyncio.create_task(door.serve(listener))
        try:
            yield address(options.host, listener)
        finally:
            serving.cancel()
            await runner.cleanup()
