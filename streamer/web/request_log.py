"""How long answers take, by route; and a line of the log for each, without what in its path is a secret."""

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

NOWHERE = "none"  # of a request whose path is no route's


class RequestLog:
    """Of one server. `times`: of answers, by method, route and status; sockets, which last, are not among them."""

    def __init__(self, clock: Clock, told: bool = False) -> None:
        """told: each request is logged."""
        self.times: dict[tuple[str, str, str], Histogram] = {}
        self._clock = clock
        self._told = told

    def middleware(self) -> Middleware:
        """What measures; to be the first but for what clones requests."""

        @web.middleware
        async def measured(request: web.Request, handler: Handler) -> web.StreamResponse:
            """Answer, and note how long it took; what the handler raises goes on."""
            begun, status = self._clock.now(), 499  # the client went away before there was an answer
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
        method = request.method if route != NOWHERE else NOWHERE  # a stranger's word, else
        if not request.path.endswith(tuple(LONGEST)):
            known = self.times.setdefault((method, route, f"{status // 100}xx"), Histogram(ANSWER_S))
            known.note(seconds)
        if self._told:
            told = {"method": method, "route": route, "status": status, "address": address_of(request)}
            text = f"{method} {route} {status}, {1000 * seconds:.0f} ms, from {told['address']}"
            logger.info(text, extra=fields(**told, ms=round(1000 * seconds)))


def route_of(request: web.Request) -> str:
    """The route of a request, with names in place of what may be a secret."""
    resource = request.match_info.route.resource
    return NOWHERE if resource is None else resource.canonical
