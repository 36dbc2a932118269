"""Access control in front of a worker's server: only gateways are admitted, and a session needs a reservation.

GET  /cluster/report                  return the worker's `Report`, as JSON
POST /cluster/reserve?key=&owner=     reserve a place: 200 and the reservation's name, 409 if no place is free
POST /cluster/holds?key=&owner=       look up a session by key: 200 if it is on this worker, else 404
POST /cluster/forget?key=&owner=      close the session with this key: it was opened again on another worker
POST /cluster/photos?owner=           reload this owner's photos: one was added, renamed or removed
POST /cluster/drain                   refuse new sessions, and close the open ones while they are silent

Keys are per owner: two owners with the same key have two sessions.
"""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from streamer.access.grant import Grant
from streamer.cluster.messages import Report
from streamer.cluster.nodes.drain import Drain
from streamer.cluster.nodes.standstill import Standstill
from streamer.cluster.reservations import Reservations
from streamer.core.aio import Clock
from streamer.core.errors import StoreError
from streamer.core.rates import FRAME_MS
from streamer.server.peer_session import Session
from streamer.server.photos.shared_photos import SharedPhotos
from streamer.server.registry import Lobby
from streamer.session.lateness import worst_of

PASS_HEADER = "Avatar-Cluster"
CALLER_HEADER = "Avatar-Caller"
RESERVATION_HEADER = "Avatar-Reservation"
OPENING = ("/session", "/whip")
STRANGER = "this is a worker of a cluster; ask one of its gateways (docs/scaling.md)\n"
LAPSED = "the place that was reserved has lapsed; ask again\n"
DRAINED = "another worker has taken over this session"


class Enclosure:
    """Access control and cluster routes of one worker's server."""

    def __init__(
        self, worker: str, node: str, pass_word: str, lobby: Lobby, clock: Clock, photos: SharedPhotos | None = None
    ) -> None:
        self._worker, self._node = worker, node
        self._pass = pass_word.encode()
        self._lobby = lobby
        self._photos = photos
        self._reservations = Reservations(lambda: lobby.most_sessions, lobby.sessions, clock)
        self._drain = Drain(lobby, clock)
        self._standstill = Standstill(lobby, clock)

    @property
    def report(self) -> Report:
        """State of the worker, without its address, which the supervisor adds."""
        late_ms = worst_of(session.conversation.playout.lateness for session in self._lobby.sessions.values())
        return Report(
            self._worker,
            node=self._node,
            ready=self._lobby.ready,
            draining=self._drain.begun,
            places=self._lobby.most_sessions,
            free=self._reservations.free if self._lobby.ready and not self._drain.begun else 0,
            sessions=self._lobby.open_sessions,
            slack=0.0 if late_ms is None else late_ms / FRAME_MS,
        )

    def middleware(self) -> Middleware:
        """Return the middleware with the access checks and the cluster routes."""
        own: dict[tuple[str, str], Callable[[web.Request], Awaitable[web.Response]]] = {
            ("GET", "/cluster/report"): self._report,
            ("POST", "/cluster/reserve"): self._reserve,
            ("POST", "/cluster/holds"): self._holds,
            ("POST", "/cluster/forget"): self._forget,
            ("POST", "/cluster/photos"): self._look_at_photos,
            ("POST", "/cluster/drain"): self._begin_drain,
        }

        @web.middleware
        async def enclosed(request: web.Request, handler: Handler) -> web.StreamResponse:
            """Answer only gateways. Raises HTTPForbidden for other clients."""
            if not hmac.compare_digest(request.headers.get(PASS_HEADER, "").encode(), self._pass):
                raise web.HTTPForbidden(text=STRANGER)
            if (answer := own.get((request.method, request.path))) is not None:
                return await answer(request)
            request = request.clone(remote=request.headers.get(CALLER_HEADER, ""))
            if request.method == hdrs.METH_POST and request.path in OPENING:
                return await self._open(request, handler)
            return await handler(request)

        return enclosed

    async def _open(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._standstill.begin()
        reservation = request.headers.get(RESERVATION_HEADER, "")
        if not self._reservations.begin(reservation):
            raise web.HTTPConflict(text=LAPSED)
        try:
            response = await handler(request)
            if response.status == web.HTTPCreated.status_code:
                self._reservations.seat(reservation, response.headers[hdrs.LOCATION].rpartition("/")[2])
            return response
        finally:
            self._reservations.release(reservation)

    async def _report(self, request: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(self.report), content_type="application/json")

    async def _reserve(self, request: web.Request) -> web.Response:
        taken_over = self._meant(request) is not None
        name = self._reservations.reserve(taken_over) if self._lobby.ready and not self._drain.begun else None
        return web.Response(status=409) if name is None else web.Response(text=name)

    async def _holds(self, request: web.Request) -> web.Response:
        return web.Response(status=404 if self._meant(request) is None else 200)

    async def _forget(self, request: web.Request) -> web.Response:
        if (session := self._meant(request)) is not None:
            await session.close(DRAINED)
        return web.Response()

    async def _look_at_photos(self, request: web.Request) -> web.Response:
        if self._photos is not None:
            with contextlib.suppress(StoreError):  # the photos are loaded again at the owner's next request
                await self._photos.heard(request.query.get("owner", ""))
        return web.Response()

    def _meant(self, request: web.Request) -> Session | None:
        """Return the session that the request's key and owner name, or None."""
        return self._lobby.find(request.query.get("key", ""), Grant(request.query.get("owner", ""), "", frozenset()))

    async def _begin_drain(self, request: web.Request) -> web.Response:
        self._drain.begin()
        return web.Response()
