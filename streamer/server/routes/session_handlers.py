"""Sessions over HTTP: open, inspect, push speech, steer and end a session.

Cheap checks come first: the query, whether there is room, whether the body is an offer. Only then is the caller
admitted, and only after that are resources allocated.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

from aiohttp import web

from engines.manifest import Manifest
from streamer.access.grant import TALK
from streamer.access.usage import QuotaError
from streamer.avatar.background import TRANSPARENT
from streamer.avatar.gallery import Gallery
from streamer.core import disclosure
from streamer.core.aio import MonotonicClock
from streamer.core.errors import SessionError
from streamer.core.limits import Limits, RateLimits
from streamer.core.rungs import FULL
from streamer.recording.recorder import Recordings
from streamer.server.admission.places import NoRoomError
from streamer.server.admission.quotas import Quotas
from streamer.server.looks import able_to_show
from streamer.server.options import ServeOptions
from streamer.server.peer_session import Session
from streamer.server.registry import Lobby, ReplacedError, watch_address
from streamer.server.routes.callers_names import bearer_key_of, key_of, ticket_of
from streamer.server.routes.session_query import SessionQuery
from streamer.server.stills import Stills
from streamer.server.trickle import take_fragment
from streamer.stages import face_options
from streamer.stages.life.steering import Steering
from streamer.stages.pose import VAE
from streamer.web.access import grant_of, until_revoked
from streamer.web.control_socket import serve_control
from streamer.web.numbers_socket import serve_numbers
from streamer.web.speech_socket import serve_speech
from streamer.web.throttle import Throttles, address_of, forwarded_for
from streamer.webrtc.alpha import LAYOUT
from streamer.webrtc.ice import is_own
from streamer.webrtc.offer import OfferError, check_offer, check_published, check_sound
from streamer.webrtc.sections import with_ports, without_video

logger = logging.getLogger(__name__)

SDP = "application/sdp"
DELAY_HEADER = "Avatar-Delay"  # ms from a sample's arrival here to its playout with its picture
PLACE_HEADER = "Avatar-Place"  # the caller's number in the waiting line, from 1
WATCH_HEADER = "Avatar-Watch"  # the session's address for viewers
VIDEO_HEADER = "Avatar-Video"  # the pictures' layout, if not the usual one
UNREACHABLE = (
    "sound and pictures come straight from the server, and this one is for its own machine only; for callers from "
    "elsewhere start it with --host 0.0.0.0 (docs/proxy.md)\n"
)
REMEMBERED = 64
MICROPHONE = "the token is for pushed speech (?speech=1); a microphone needs the scope talk\n"
NO_SESSION = "no such session; it may have ended\n"
REPLACED = "a newer call with the same key has taken this session's place\n"


class SessionHandlers:
    """The handlers of one server. `gallery`: the avatars a request may choose; raises HTTPException if not loaded."""

    def __init__(
        self,
        manifest: Manifest,
        lobby: Lobby,
        limits: Limits,
        options: ServeOptions,
        stills: Stills,
        gallery: Callable[[web.Request], Gallery],
        recordings: Recordings | None,
        rates: RateLimits,
    ) -> None:
        """options: session defaults. recordings: the recordings of all sessions, None if off."""
        self._openings = Throttles(rates.sessions_each, rates.sessions, rates.patience_s, MonotonicClock())
        self._readings = Throttles(rates.offers_each, rates.offers, rates.patience_s, MonotonicClock())
        self.refused = 0
        self._lobby = lobby
        self._limits = limits
        self._default = options
        self._query = SessionQuery(manifest, options, stills, gallery, recordings)
        self._quotas = Quotas()
        self._published: deque[str] = deque(maxlen=REMEMBERED)  # tokens of sessions opened by WHIP
        names = manifest.coefficients
        lively = ["energy"] if manifest.stage("pose").process != VAE else []
        feeling = ["emotion"] if face_options.feels(manifest) else []
        steered = Steering(names.expression, names.pose).able()
        self._able = (*lively, *feeling, *steered, *able_to_show(manifest))

    async def open(self, request: web.Request) -> web.Response:
        """Open a session."""
        return await self._counted(self._open(request, key_of))

    async def publish(self, request: web.Request) -> web.Response:
        """Open a session whose peer sends only (WHIP, RFC 9725); its face is shown to viewers."""
        return await self._counted(self._open(request, bearer_key_of, published=True))

    async def _counted(self, opening: Coroutine[Any, Any, web.Response]) -> web.Response:
        try:
            return await opening
        except web.HTTPException:
            self.refused += 1
            raise
        except Exception:
            self.refused += 1
            logger.exception("a session cannot be opened")
            raise unavailable("the session cannot be opened; the server's log says why", self._limits) from None

    async def close(self, request: web.Request) -> web.Response:
        """End a session."""
        token = request.match_info["token"]
        found = await self._lobby.dismiss(token, grant_of(request))
        if self._lobby.was_replaced(token):  # also while it is still closing, so that its page does not reconnect
            raise web.HTTPGone(text=REPLACED)
        if not found:
            raise web.HTTPNotFound(text=NO_SESSION)
        return web.Response(text="ended\n")

    async def unpublish(self, request: web.Request) -> web.Response:
        """End a session opened by WHIP; return 200 even if its connection was closed a moment before."""
        if request.match_info["token"] in self._published:
            await self._lobby.dismiss(request.match_info["token"], grant_of(request))
            return web.Response(text="ended\n")
        return await self.close(request)

    async def look(self, request: web.Request) -> web.Response:
        """Return an empty response if the session exists. Raises HTTPNotFound."""
        self.found(request)
        return web.Response()

    async def trickle(self, request: web.Request) -> web.Response:
        """Accept ICE candidates that arrive after the offer."""
        return await take_fragment(request, self.found(request).ufrag, self.read_offer)

    async def report(self, request: web.Request) -> web.Response:
        """Report a session's counters. The page compares two reports, as the pictures it decodes include repeats."""
        session = self.found(request)
        counts = session.counts()
        found = {
            "pictures": counts.frames_shown - counts.frames_repeated,
            "repeated": counts.frames_repeated,
            "late": counts.frames_late,
            "delay_ms": session.delay_ms,
            "left_out": None if (rung := session.conversation.rung) == FULL else rung.told,
            "microphone_packets_lost": counts.packets_lost,
        }
        return web.json_response(found, headers={"Cache-Control": "no-store"})

    async def speech(self, request: web.Request) -> web.StreamResponse:
        """Serve a session's speech WebSocket."""
        return await serve_speech(self.found(request), request)

    async def control(self, request: web.Request) -> web.StreamResponse:
        """Serve a session's control WebSocket."""
        return await serve_control(self.found(request), request, self._able)

    async def numbers(self, request: web.Request) -> web.StreamResponse:
        """Serve the numbers WebSocket of a session without pictures."""
        return await serve_numbers(self.found(request), request, MonotonicClock())

    def found(self, request: web.Request) -> Session:
        """Return the session of a path, by token or key. Raises HTTPNotFound."""
        session = self._lobby.find(request.match_info["token"], grant_of(request))
        if session is None:
            raise web.HTTPNotFound(text=NO_SESSION)
        return session

    async def _open(
        self, request: web.Request, find_key: Callable[[web.Request], str | None], published: bool = False
    ) -> web.Response:
        if request.content_type != SDP:
            raise web.HTTPUnsupportedMediaType(text=f"content type {request.content_type[:80]}, expected {SDP}\n")
        if self._default.local and (caller := forwarded_for(request)) and not is_own(caller):
            raise web.HTTPForbidden(text=UNREACHABLE)
        (portrait, options), key = self._query.read(request), find_key(request)
        ticket, grant = ticket_of(request), grant_of(request)
        if options.microphone and not grant.may(TALK):
            raise web.HTTPForbidden(text=MICROPHONE)
        try:
            address = address_of(request)
            self._lobby.check_room(address, key, ticket, grant.owner)
            offer = await self.read_offer(request)
            await self.turn_to_read(request)
            if published:
                check_published(offer, self._limits)
                offer, options = without_video(offer), replace(options, microphone=True, shown=False)
            elif options.numbers is not None:
                check_sound(offer, self._limits, options.microphone)
                offer = without_video(offer)
            else:
                check_offer(offer, self._limits, options.microphone)
            await self._openings.turn(address)
            prepare = partial(self._query.prepare, portrait, replace(options, able=self._able))
            replaces = key is not None and self._lobby.find(key, grant) is not None
            with self._quotas.session(grant, replaces, partial(until_revoked, request)) as holding:
                token, answer, delay_ms = await self._lobby.admit(offer, prepare, address, key, grant.owner)
                holding.holds(self._lobby.find(token))
            self._lobby.waiting.leave(ticket)
        except ReplacedError as error:
            raise web.HTTPGone(text=f"{error}\n") from None
        except OfferError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from None
        except QuotaError as error:
            raise web.HTTPTooManyRequests(text=f"{error}\n") from None
        except NoRoomError as error:
            raise unavailable(str(error), self._limits, error.place) from None
        except SessionError as error:
            raise unavailable(str(error), self._limits) from None
        place = f"/{'whip' if published else 'session'}/{token}"
        if published:
            self._published.append(token)
        headers = {"Location": place, DELAY_HEADER: str(delay_ms), "Cache-Control": "no-store"} | disclosure.HEADERS
        headers[WATCH_HEADER] = f"/whep/{watch_address(token)}"
        if options.face.background == TRANSPARENT:
            headers[VIDEO_HEADER] = LAYOUT
        return web.Response(status=201, text=answer, content_type=SDP, headers=headers)

    @property
    def too_fast(self) -> int:
        """The number of requests refused by a rate limit."""
        return self._openings.refused + self._readings.refused

    async def turn_to_read(self, request: web.Request) -> None:
        """Wait for the caller's turn to parse an offer. Raises HTTPTooManyRequests."""
        await self._readings.turn(address_of(request))

    async def turn(self, request: web.Request) -> None:
        """Wait for the caller's turn to open a session or viewer. Raises HTTPTooManyRequests."""
        await self._openings.turn(address_of(request))

    async def read_offer(self, request: web.Request) -> str:
        """Read SDP, or an SDP fragment, from a request's body. Raises HTTPException."""
        most = self._limits.max_sdp_bytes
        try:
            async with asyncio.timeout(self._limits.negotiate_s):
                return with_ports((await request.read()).decode())
        except web.HTTPRequestEntityTooLarge:
            raise web.HTTPRequestEntityTooLarge(
                most, most, text=f"the SDP offer is larger than the {most} bytes accepted\n"
            ) from None
        except UnicodeDecodeError:
            raise web.HTTPBadRequest(text="the request's body is not an SDP offer: it is not text\n") from None
        except TimeoutError:
            raise web.HTTPRequestTimeout(text="the request's body did not arrive in time\n") from None


def unavailable(reason: str, limits: Limits, place: int | None = None) -> web.HTTPServiceUnavailable:
    """Return a 503 response with Retry-After. place: the caller's number in the waiting line."""
    headers = {"Retry-After": str(limits.next_after_s if place == 1 else limits.retry_after_s)}
    if place is not None:
        headers[PLACE_HEADER] = str(place)
    return web.HTTPServiceUnavailable(text=f"{reason}\n", headers=headers)
