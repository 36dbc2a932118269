"""Response times by route, and an optional log line for each request, without the secrets in its path."""

from __future__ import annotations

import logging

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from streamer.core.aio import Clock
from streamer.core.histogram import ANSWER_S, Histogram
from streamer.core.log import fields
from streamer.web.door import LONGEST
from streamer.web.throttle import address_of

logger = logging.getLogger("streamer.requests")

NOWHERE = "none"  # label of a request that matches no route


class RequestLog:
    """Request log of one server. `times`: response times by method, route and status, without long-lived requests."""

    def __init__(self, clock: Clock, told: bool = False) -> None:
        """told: log each request."""
        self.times: dict[tuple[str, str, str], Histogram] = {}
        self._clock = clock
        self._told = told

    def middleware(self) -> Middleware:
        """Return the measuring middleware. Install it first, but after any middleware that clones requests."""

        @web.middleware
        async def measured(request: web.Request, handler: Handler) -> web.StreamResponse:
            """Handle the request and record its duration; exceptions propagate."""
            begun, status = self._clock.now(), 499  # the client disconnected before the response
            try:
                response = await handler(request)
                status = response.status
                return response
            except web.HTTPException as error:
                status = error.status
                raise
            except Exception:
                status = 500
                raise
            finally:
                self._note(request, status, self._clock.now() - begun)

        return measured

    def _note(self, request: web.Request, status: int, seconds: float) -> None:
        route = route_of(request)
        method = request.method if route != NOWHERE else NOWHERE  # else a client could invent methods
        if not request.path.endswith(tuple(LONGEST)):
            known = self.times.setdefault((method, route, f"{status // 100}xx"), Histogram(ANSWER_S))
            known.note(seconds)
        if self._told:
            told = {"method": method, "route": route, "status": status, "address": address_of(request)}
            text = f"{method} {route} {status}, {1000 * seconds:.0f} ms, from {told['address']}"
            logger.info(text, extra=fields(**told, ms=round(1000 * seconds)))


def route_of(request: web.Request) -> str:
    """Return the route pattern of a request, with placeholders for the secrets in its path."""
    resource = request.match_info.route.resource
    return NOWHERE if resource is None else resource.canonical
