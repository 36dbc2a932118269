"""The gateway: one address for all workers, with the same interface as a single server (docs/api.md).

It finds a place for each new session and forwards offers and answers; audio and video flow directly between caller and
worker. Later requests carry the name of their worker, so gateways keep no table of sessions, and any number of them can
share one address.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from random import Random
from urllib.parse import quote

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict

from streamer.access.tokens import TokenError, Verifier
from streamer.cluster.admission import PATIENCE_S, Admission, Directory
from streamer.cluster.enclosure import CALLER_HEADER, OPENING, PASS_HEADER, RESERVATION_HEADER
from streamer.cluster.messages import Report
from streamer.cluster.placement import STICKY, by_key
from streamer.cluster.proxy import CONNECT_S, MADE_S, answer_headers, bounded, forward, passed_on
from streamer.cluster.routing import ToAny, ToKey, ToWorker, bearer_of, route
from streamer.cluster.signed import Signer
from streamer.cluster.socket_proxy import forward_socket
from streamer.core.aio import Clock, MonotonicClock
from streamer.core.limits import Limits
from streamer.server.admission.places import NoRoomError
from streamer.server.admission.waiting_line import TICKET
from streamer.server.assets import ASSETS, WEB
from streamer.server.photos.shared_photos import OWNER_HEADER
from streamer.server.routes.session_handlers import NO_SESSION, WATCH_HEADER, unavailable
from streamer.web.access import grant_of, token_of
from streamer.web.throttle import address_of, forwarded_for

logger = logging.getLogger(__name__)

RESERVE = aiohttp.ClientTimeout(total=2.0)  # then the next worker is asked: this one may hang
HOLDS = aiohttp.ClientTimeout(total=5.0)
CHANGE = aiohttp.ClientTimeout(total=MADE_S, sock_connect=CONNECT_S)
CHANGES = ("POST", "PATCH", "DELETE")  # methods that change photos
OFFER = aiohttp.ClientTimeout(total=20.0)
TRIES = 3  # workers to which an offer is sent, if earlier ones die or are full despite the reservation
SILENT = "the worker does not answer; try again in a moment\n"
NOBODY = "no worker is ready; try again in a moment"
Unreachable = (aiohttp.ClientError, OSError)


class _GoneError(Exception):
    """A worker does not accept connections."""


class Gateway:
    """HTTP handlers of a gateway. `http`: client for requests to workers, see `proxy.connections`."""

    def __init__(
        self,
        directory: Directory,
        signer: Signer,
        http: aiohttp.ClientSession,
        limits: Limits,
        random: Random,
        verifier: Verifier | None = None,
        clock: Clock | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """`verifier`: checks visitors' tokens; None if no tokens are required, so that a bearer token is a session's
        key. `patience_s`: see `Admission`.
        """
        self._verifier = verifier
        self.opened = self.refused = self.passed = 0
        self._directory = directory
        self._signer = signer
        self._http = http
        self._limits = limits
        self._admission = Admission(directory, self._reserve, random, clock or MonotonicClock(), patience_s)
        self._tidying: set[asyncio.Task[None]] = set()

    def routes(self) -> list[web.RouteDef]:
        """Return all routes; every path without a handler of the gateway is forwarded to a worker."""
        return [
            *(web.get(path, self.asset) for path in ASSETS),
            web.get("/healthz", self.health),
            *(web.post(path, self.open) for path in OPENING),
            web.route("*", "/{path:.*}", self.pass_on),
        ]

    async def asset(self, request: web.Request) -> web.StreamResponse:
        """Serve a file of the web pages."""
        if request.path == "/obs" and request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise web.HTTPForbidden(text="links of other sites do not open this page; type or paste its address\n")
        return web.FileResponse(WEB / ASSETS[request.path], headers={"Cache-Control": "no-cache"})

    async def health(self, request: web.Request) -> web.Response:
        """Report whether any worker accepts sessions: 200 or 503."""
        ready = any(worker.open for worker in self._directory.view.workers)
        text = "ready\n" if ready else f"{NOBODY}\n"
        return web.Response(status=200 if ready else 503, text=text, headers={"Cache-Control": "no-store"})

    async def open(self, request: web.Request) -> web.StreamResponse:
        """Open a session on a worker with a free place."""
        if request.content_type != "application/sdp":
            raise web.HTTPUnsupportedMediaType(
                text=f"content type {request.content_type[:80]}, expected application/sdp\n"
            )
        ticket = request.query.get("ticket")
        if ticket is not None and not TICKET.fullmatch(ticket):
            raise web.HTTPBadRequest(text="ticket must be 16 to 64 letters, digits, - or _\n")
        offer = await self._body(request)
        key = self._key_of(request)
        try:
            for _ in range(TRIES):
                owner, address = grant_of(request).owner, address_of(request)
                worker, reservation = await self._admission.place(key, ticket, address, owner)
                answer = await self._offer(request, worker, reservation, offer)
                if answer is not None:
                    return answer
        except NoRoomError as error:
            self.refused += 1
            raise unavailable(str(error), self._limits, error.place) from None
        self.refused += 1
        raise unavailable(NOBODY, self._limits)

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        """Forward any other request to its worker."""
        if request.path.startswith("/cluster/"):
            raise web.HTTPNotFound
        match route(request, self._signer, self._verifier is None):
            case ToAny(path=path):
                return await self._pass_to_any(request, path)
            case ToWorker(worker=name, path=path):
                worker = self._directory.find(name)
            case ToKey(key=key, path=path):
                worker = await self._holder(key, self._owner_of(request))
        if worker is not None:
            with contextlib.suppress(_GoneError):
                return await self._forward(request, worker, path)
        raise web.HTTPNotFound(text=NO_SESSION)

    async def _pass_to_any(self, request: web.Request, path: str) -> web.StreamResponse:
        """Forward a request to the least loaded worker that accepts the connection."""
        ready = [each for each in self._directory.view.workers if each.ready]
        for worker in sorted(ready, key=lambda each: each.burden)[:TRIES]:
            with contextlib.suppress(_GoneError):
                return await self._forward(request, worker, path)
        raise unavailable(NOBODY, self._limits)

    async def _forward(self, request: web.Request, worker: Report, path: str) -> web.StreamResponse:
        url = worker.url.rstrip("/") + quote(path) + (f"?{request.query_string}" if request.query_string else "")
        headers = self._headers(request)
        self.passed += 1
        try:
            if request.headers.get(hdrs.UPGRADE, "").lower() == "websocket":
                return await forward_socket(self._http, request, url, headers)
            if request.method in CHANGES and request.path.startswith("/avatars"):
                return await self._change_photos(request, url, headers)
            return await forward(self._http, request, url, headers, lambda found: self._sign(worker, found))
        except aiohttp.ClientConnectorError:
            self._directory.lost(worker.worker)
            raise _GoneError from None
        except Unreachable as error:
            logger.info("worker %s: %s", worker.worker, error)
            raise web.HTTPBadGateway(text=SILENT) from None

    async def _change_photos(self, request: web.Request, url: str, headers: Mapping[str, str]) -> web.Response:
        """Forward a change of photos to a worker, and notify all workers before returning its response."""
        body = bounded(request) if request.body_exists else None
        async with self._http.request(request.method, url, headers=headers, data=body, timeout=CHANGE) as response:
            text = await response.read()
            answer = web.Response(status=response.status, body=text, headers=answer_headers(response))
        if (owner := answer.headers.popone(OWNER_HEADER, None)) is not None:
            asked = (self._ask(worker, "photos", {"owner": owner}) for worker in self._directory.view.workers)
            await asyncio.gather(*asked, return_exceptions=True)  # one that misses this reloads at the next request
        return answer

    async def _offer(
        self, request: web.Request, worker: Report, reservation: str, offer: bytes
    ) -> web.StreamResponse | None:
        """Send an offer to the worker with the reservation; return None if another worker should be tried."""
        url = f"{worker.url.rstrip('/')}{request.path}?{request.query_string}"
        headers = self._headers(request, {RESERVATION_HEADER: reservation})
        try:
            async with self._http.post(url, data=offer, headers=headers, timeout=OFFER) as response:
                if response.status in (409, 503):
                    return None
                text = await response.read()
                answer = web.Response(status=response.status, body=text, headers=answer_headers(response))
        except TimeoutError:
            return None
        except Unreachable:
            self._directory.lost(worker.worker)
            return None
        if answer.status == web.HTTPCreated.status_code:
            self.opened += 1
            self._sign(worker, answer.headers)
            self._tidy(self._key_of(request), grant_of(request).owner, worker)
        return answer

    def _key_of(self, request: web.Request) -> str | None:
        """Return the key for the new session, or None."""
        if request.path != "/whip":
            return request.query.get("key")
        return bearer_of(request) if self._verifier is None else None

    def _sign(self, worker: Report, headers: CIMultiDict[str]) -> None:
        """Sign the session addresses in the response headers, so that they name the worker."""
        for name in (hdrs.LOCATION, WATCH_HEADER):
            if (path := headers.get(name)) is not None:
                headers[name] = self._signer.sign_path(worker.worker, path)

    def _headers(self, request: web.Request, added: Mapping[str, str] | None = None) -> CIMultiDict[str]:
        caller = forwarded_for(request) or request.remote or ""
        own = {PASS_HEADER: self._signer.pass_word, CALLER_HEADER: caller, RESERVATION_HEADER: ""}
        return passed_on(request, own | dict(added or {}))

    def _owner_of(self, request: web.Request) -> str | None:
        """Return the owner of the request's keys; None if its token is invalid, which a worker then reports."""
        if self._verifier is None:
            return ""
        try:
            return self._verifier.check(token_of(request) or "").owner
        except TokenError:
            return None

    async def _reserve(self, worker: Report, query: Mapping[str, str]) -> str | None:
        return await self._ask(worker, "reserve", query)

    async def _ask(
        self, worker: Report, what: str, query: Mapping[str, str], patience: aiohttp.ClientTimeout = RESERVE
    ) -> str | None:
        """Call a worker's cluster route; return the text, or None if not 200. Raises TimeoutError, ConnectionError."""
        headers = {PASS_HEADER: self._signer.pass_word}
        url = f"{worker.url}cluster/{what}"
        try:
            async with self._http.post(url, params=query, headers=headers, timeout=patience) as response:
                return await response.text() if response.status == 200 else None
        except aiohttp.ServerTimeoutError as error:
            raise TimeoutError(str(error)) from None
        except aiohttp.ClientError as error:
            raise ConnectionError(str(error)) from None

    async def _holder(self, key: str, owner: str | None) -> Report | None:
        """Return the worker that has the session with this key: one of the first few in the key's order."""
        workers = by_key(key, self._directory.view.workers)[: STICKY + 1]
        if owner is None:
            return workers[0] if workers else None
        asked = (self._ask(worker, "holds", {"key": key, "owner": owner}, HOLDS) for worker in workers)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for worker, answer in zip(workers, answers, strict=True):
            if isinstance(answer, str):
                return worker
            if isinstance(answer, ConnectionError):
                self._directory.lost(worker.worker)
        if any(isinstance(answer, TimeoutError) for answer in answers):
            raise web.HTTPBadGateway(text=SILENT)
        return None

    def _tidy(self, key: str | None, owner: str, worker: Report) -> None:
        """Close an older session with the same key on other workers: there is one session per key."""
        others = [each for each in self._directory.view.workers if each.worker != worker.worker]
        if key is not None and others:
            task = asyncio.create_task(self._forget({"key": key, "owner": owner}, by_key(key, others)[: STICKY + 1]))
            self._tidying.add(task)
            task.add_done_callback(self._tidying.discard)

    async def _forget(self, query: Mapping[str, str], workers: list[Report]) -> None:
        asked = (self._ask(worker, "forget", query) for worker in workers)
        await asyncio.gather(*asked, return_exceptions=True)

    async def _body(self, request: web.Request) -> bytes:
        most = self._limits.max_sdp_bytes
        try:
            async with asyncio.timeout(self._limits.negotiate_s):
                return await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise web.HTTPRequestEntityTooLarge(
                most, most, text=f"the SDP offer is larger than the {most} bytes accepted\n"
            ) from None
        except TimeoutError:
            raise web.HTTPRequestTimeout(text="the request's body did not arrive in time\n") from None
