"""WHEP (draft-ietf-wish-whep): many viewers watch one session, which is encoded once for all of them.

    POST    /whep/WATCH        body: SDP offer; response: 201, SDP answer and Location
    DELETE  /whep/viewer/ID    stop watching: 200
    PATCH   /whep/viewer/ID    trickled candidates: 204; they are not needed
    OPTIONS                    the accepted media type (Accept-Post)

WATCH is the session's address for viewers (`Avatar-Watch` in the response to POST /session), its token or its key. With
`POST /whep` it is the bearer token, or ?key= if the server requires access tokens.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from aiohttp import web

from streamer.access.grant import Grant
from streamer.core import disclosure
from streamer.core.aio import Clock, until_first
from streamer.core.limits import Limits
from streamer.server.admission.quotas import REVOKED
from streamer.server.peer_session import Session
from streamer.server.trickle import take_fragment
from streamer.server.viewer import Viewer
from streamer.web.access import grant_of, is_asked_for, until_revoked
from streamer.webrtc.offer import OfferError, check_offer
from streamer.webrtc.sections import ufrag_of

SDP = "application/sdp"
REMEMBERED = 256  # ids of ended viewers to remember
MOST_VIEWERS = 64  # of all sessions together
NOBODY = "no such session; it may have ended, or not begun\n"


@dataclass
class _Watching:
    viewer: Viewer
    ufrag: str
    ending: asyncio.Task[None] | None = field(default=None)


class WhepHandlers:
    """The handlers of one server.

    find: returns the session of a watch address, token or key, None if the caller may not see it. read_offer: reads a
    request's body. turn_to_read, turn: wait for the caller's turn to parse an offer, and to answer it. All but `find`
    raise HTTPException.
    """

    def __init__(
        self,
        find: Callable[[str, Grant], Session | None],
        read_offer: Callable[[web.Request], Awaitable[str]],
        turn_to_read: Callable[[web.Request], Awaitable[None]],
        turn: Callable[[web.Request], Awaitable[None]],
        limits: Limits,
        clock: Clock,
    ) -> None:
        self._find = find
        self._read_offer = read_offer
        self._turn_to_read, self._turn = turn_to_read, turn
        self._limits = limits
        self._clock = clock
        self._watching: dict[str, _Watching] = {}
        self._ended: deque[str] = deque(maxlen=REMEMBERED)

    def routes(self) -> list[web.RouteDef]:
        """Return the WHEP routes."""
        return [
            web.post("/whep", self.open),
            web.post("/whep/{watch}", self.open),
            web.options("/whep", self.options),
            web.options("/whep/{watch}", self.options),
            web.get("/whep/viewer/{viewer}", self.look),
            web.patch("/whep/viewer/{viewer}", self.trickle),
            web.delete("/whep/viewer/{viewer}", self.close),
        ]

    @property
    def viewers(self) -> int:
        """The number of viewers."""
        return len(self._watching)

    async def options(self, request: web.Request) -> web.Response:
        """Return the accepted media type and methods."""
        return web.Response(headers={"Accept-Post": SDP, "Allow": "POST, OPTIONS"})

    async def open(self, request: web.Request) -> web.Response:
        """Add a viewer to a session."""
        if request.content_type != SDP:
            raise web.HTTPUnsupportedMediaType(text=f"content type {request.content_type[:80]}, expected {SDP}\n")
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if is_asked_for(request):  # then the bearer token is the access token
            bearer = request.query.get("key", "")
        watch = request.match_info.get("watch", bearer)
        if not watch:
            raise web.HTTPUnauthorized(
                text="which session? POST /whep/WATCH, or its key as a bearer token (?key= beside an access token)\n",
                headers={"WWW-Authenticate": "Bearer"},
            )
        session = self._find(watch, grant_of(request))
        if session is None:
            raise web.HTTPNotFound(text=NOBODY)
        if session.numbers is not None:
            raise web.HTTPConflict(text="this session has no pictures; docs/numbers.md\n")
        if len(self._watching) >= MOST_VIEWERS:
            raise web.HTTPServiceUnavailable(
                text=f"{MOST_VIEWERS} watch already; try again in a moment\n",
                headers={"Retry-After": str(self._limits.retry_after_s)},
            )
        offer = await self._read_offer(request)
        await self._turn_to_read(request)
        try:
            check_offer(offer, self._limits, microphone=False)
            await self._turn(request)
            number, answer = await self._admit(session, offer, partial(until_revoked, request))
        except OfferError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from None
        headers = {"Location": f"/whep/viewer/{number}", "Cache-Control": "no-store"} | disclosure.HEADERS
        return web.Response(status=201, text=answer, content_type=SDP, headers=headers)

    async def look(self, request: web.Request) -> web.Response:
        """Return an empty response if the viewer exists. Raises HTTPNotFound."""
        self._known(request)
        return web.Response()

    async def trickle(self, request: web.Request) -> web.Response:
        """Accept ICE candidates that arrive after the offer."""
        return await take_fragment(request, self._known(request).ufrag, self._read_offer)

    async def close(self, request: web.Request) -> web.Response:
        """Remove a viewer; return 200 even if its connection was closed a moment before."""
        if request.match_info["viewer"] in self._ended:
            return web.Response(text="ended\n")
        await self._known(request).viewer.close("the viewer left")
        return web.Response(text="ended\n")

    async def _admit(self, session: Session, offer: str, revoked: Callable[[], Awaitable[None]]) -> tuple[str, str]:
        number = secrets.token_urlsafe(12)
        viewer = Viewer(session.shared, self._limits, self._clock, lambda: self._forget(number))
        self._watching[number] = watching = _Watching(viewer, ufrag_of(offer))
        answer = await viewer.answer(offer)
        watching.ending = asyncio.create_task(self._with_session(session, viewer, revoked))
        return number, answer

    async def _with_session(self, session: Session, viewer: Viewer, revoked: Callable[[], Awaitable[None]]) -> None:
        async def until_it_is() -> None:
            await revoked()

        await until_first(session.ended(), until_it_is())
        await viewer.close(session.reason or REVOKED)

    def _forget(self, number: str) -> None:
        watching = self._watching.pop(number, None)
        self._ended.append(number)
        if watching is not None and watching.ending is not None and watching.ending is not asyncio.current_task():
            watching.ending.cancel()

    def _known(self, request: web.Request) -> _Watching:
        watching = self._watching.get(request.match_info["viewer"])
        if watching is None:
            raise web.HTTPNotFound(text="nobody watches there; it may have ended\n")
        return watching
