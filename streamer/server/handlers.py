"""The HTTP interface: the page, its avatars, sessions in the manner of WHIP, health and metrics.

    GET    /                     the page; its script, style and icon beside it
    GET    /obs                  the page for OBS's Browser Source
    GET    /avatars              JSON: name, title, picture, default; ready: whether sessions can be opened yet;
                                 recorded: whether they are; photos: whether whoever asks may POST one; voice: whether
                                 text can be spoken; sizes: that pictures may have
    POST   /avatars              a photo in; 201 and JSON of its avatar out; on the server's own machine;
                                 ?title=TEXT&face=N
    PATCH  /avatars/NAME         ?title=TEXT: one of the user's own is called something else; JSON as it is listed
    DELETE /avatars/NAME         one of the user's own is no more
    GET    /avatars/NAME.png     a portrait; ?background= as below
    POST   /voice                a short text in, speech (WAV) out; ?language=
    POST   /session              SDP offer in; 201, SDP answer and Location out; ?avatar=NAME&lookahead=MS, and how the
                                 face behaves: still=1, pose-style=N, expression-scale=X, yaw=, pitch=, roll= degrees;
                                 background=rrggbb|blur|transparent|none;
                                 speech=1: it hears pushed speech only, and the offer needs no microphone; key=SECRET:
                                 it is also at /session/SECRET for speech, and ends the session that was
    GET    /session/TOKEN/speech a WebSocket that speech is pushed into; docs/speech.md
    GET    /session/TOKEN        JSON: how it goes, in counts since it began
    DELETE /session/TOKEN        200 when it has ended; 410 when a newer call with its key had ended it
    GET    /healthz              200 when the engines are warm, else 503
    GET    /metrics              Prometheus text

Refusals are one line of plain text.
"""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import replace
from functools import partial

from aiohttp import web

from engines.manifest import Manifest
from streamer.avatar.background import TRANSPARENT
from streamer.avatar.frame_size import frame_size, offered_sizes
from streamer.avatar.gallery import Gallery, Portrait
from streamer.core.aio import MonotonicClock
from streamer.core.errors import BundleError, ConfigError, SessionError
from streamer.core.limits import Limits, RateLimits
from streamer.core.options import PLAIN_FACE, any_seed
from streamer.inference.worker import InferenceWorker, WorkerState
from streamer.recording.recorder import Recordings
from streamer.server import metrics
from streamer.server.assets import ASSETS, WEB
from streamer.server.options import ServeOptions
from streamer.server.photo_handlers import PhotoHandlers
from streamer.server.registry import Lobby, ReplacedError
from streamer.server.session_options import SessionOptions
from streamer.server.stills import Stills
from streamer.server.voice_handlers import VoiceHandlers
from streamer.stages import face_options
from streamer.stages.lookahead import live_lookahead_ms
from streamer.web.door import Door
from streamer.web.speech_socket import serve_speech
from streamer.web.throttle import Throttles, address_of
from streamer.webrtc.alpha import LAYOUT
from streamer.webrtc.offer import OfferError, check_offer
from streamer.webrtc.sections import with_ports

logger = logging.getLogger(__name__)

SDP = "application/sdp"
DELAY_HEADER = "Avatar-Delay"  # ms from a sample's arrival here to its being sent back with its picture
VIDEO_HEADER = "Avatar-Video"  # how pictures are laid out, where that is not as usual
NOT_READY = "the engines are not ready yet; try again in a moment"
NO_SESSION = "no such session; it may have ended\n"
REPLACED = "a newer call with the same key has taken this session's place\n"
KEY = re.compile(r"[A-Za-z0-9_-]{16,128}")


class Handlers:
    """The handlers of one server. `gallery` is None until the portraits are read, perhaps before the engines are."""

    def __init__(
        self,
        manifest: Manifest,
        worker: InferenceWorker,
        lobby: Lobby,
        limits: Limits,
        options: ServeOptions,
        door: Door,
        requests: Throttles,
        recordings: Recordings | None = None,
    ) -> None:
        """`options`: what sessions have that do not choose; `recordings`: where they are recorded.

        door, requests: what stands in front of all routes, for its counts.
        """
        self._door = door
        self._requests = requests
        self.gallery: Gallery | None = None
        self._manifest = manifest
        self._worker = worker
        self._lobby = lobby
        self._limits = limits
        self._default = options
        self._photos = PhotoHandlers(manifest, worker, options.host, options.photos)
        self._stills = Stills()
        rates = RateLimits()
        self._openings = Throttles(rates.sessions_each, rates.sessions, rates.patience_s, MonotonicClock())
        self._drawings = Throttles(rates.pictures_each, rates.pictures, rates.patience_s, MonotonicClock())
        self._voice = VoiceHandlers()
        self._refused = 0
        self._recordings = recordings

    def routes(self) -> list[web.RouteDef]:
        """All routes of the interface."""
        return [
            *(web.get(path, self.asset) for path in ASSETS),
            web.get("/avatars", self.avatars),
            web.post("/avatars", self.add_avatar),
            web.get("/avatars/{name}.png", self.picture),
            web.patch("/avatars/{name}", self.rename_avatar),
            web.delete("/avatars/{name}", self.remove_avatar),
            web.post("/voice", self._voice.speak),
            web.post("/session", self.open),
            web.get("/session/{token}", self.report),
            web.delete("/session/{token}", self.close),
            web.get("/session/{token}/speech", self.speech),
            web.get("/healthz", self.health),
            web.get("/metrics", self.metrics),
        ]

    async def asset(self, request: web.Request) -> web.StreamResponse:
        """A file of a page. /obs begins by itself, so no link of another site may open it (browsers tell)."""
        if request.path == "/obs" and request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise web.HTTPForbidden(text="links of other sites do not open this page; type or paste its address\n")
        return web.FileResponse(WEB / ASSETS[request.path], headers={"Cache-Control": "no-cache"})

    async def avatars(self, request: web.Request) -> web.Response:
        """The avatars there are, whether what is said to them is recorded, and whether a photo may become another."""
        found = {
            "avatars": self._known_gallery().listing(),
            "ready": self._ready,
            "recorded": self._recordings is not None,
            "photos": self._photos.takes(request),
            "voice": self._voice.available,
            "sizes": offered_sizes(self._manifest),
        }
        return web.json_response(found, headers={"Cache-Control": "no-store"})

    async def add_avatar(self, request: web.Request) -> web.Response:
        """An avatar of a photo."""
        if not self._ready:
            raise self._unavailable(NOT_READY)
        return await self._photos.add(request, self._known_gallery())

    async def rename_avatar(self, request: web.Request) -> web.Response:
        """Another title for one of the user's own."""
        return await self._photos.rename(request, self._known_gallery())

    async def remove_avatar(self, request: web.Request) -> web.Response:
        """The end of one of the user's own."""
        return await self._photos.remove(request, self._known_gallery())

    async def picture(self, request: web.Request) -> web.Response:
        """A portrait, on a background where one is asked for."""
        try:
            portrait = self._known_gallery().find(request.match_info["name"])
            background = face_options.of_query(request.query, PLAIN_FACE).background
        except BundleError as error:
            raise web.HTTPNotFound(text=f"{error}\n") from None
        except ConfigError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from None
        if not self._stills.knows_png(portrait, background):
            await self._drawings.turn(address_of(request))
        try:
            png = await self._stills.png(portrait, background)
        except BundleError as error:
            raise _damaged(portrait, error) from None
        return web.Response(body=png, content_type="image/png", headers={"Cache-Control": "no-cache"})

    async def open(self, request: web.Request) -> web.Response:
        """Begin a session."""
        try:
            return await self._open(request)
        except web.HTTPException:
            self._refused += 1
            raise
        except Exception:
            self._refused += 1
            logger.exception("a session cannot be opened")
            raise self._unavailable("the session cannot be opened; the server's log says why") from None

    async def close(self, request: web.Request) -> web.Response:
        """End a session."""
        token = request.match_info["token"]
        found = await self._lobby.dismiss(token)
        if self._lobby.was_replaced(token):  # also while it is still closing: its page is not to call again
            raise web.HTTPGone(text=REPLACED)
        if not found:
            raise web.HTTPNotFound(text=NO_SESSION)
        return web.Response(text="ended\n")

    async def report(self, request: web.Request) -> web.Response:
        """How a session goes. The page compares two of these: what it decodes has repeats of late ones in it."""
        session = self._lobby.find(request.match_info["token"])
        if session is None:
            raise web.HTTPNotFound(text=NO_SESSION)
        counts = session.counts()
        found = {
            "pictures": counts.frames_shown - counts.frames_repeated,
            "repeated": counts.frames_repeated,
            "microphone_packets_lost": counts.packets_lost,
        }
        return web.json_response(found, headers={"Cache-Control": "no-store"})

    async def speech(self, request: web.Request) -> web.StreamResponse:
        """Speech for a session."""
        session = self._lobby.find(request.match_info["token"])
        if session is None:
            raise web.HTTPNotFound(text=NO_SESSION)
        return await serve_speech(session, request)

    async def health(self, request: web.Request) -> web.Response:
        """Whether sessions can be opened."""
        state = "ready" if self._ready else self._worker.failure or "starting"
        return web.Response(
            status=200 if self._ready else 503, text=f"{state}\n", headers={"Cache-Control": "no-store"}
        )

    async def metrics(self, request: web.Request) -> web.Response:
        """All counts."""
        stats = self._worker.stats
        server = metrics.ServerCounts(
            ready=self._worker.state is WorkerState.READY,
            open_sessions=self._lobby.open_sessions,
            sessions=self._lobby.opened,
            refused=self._refused,
            worker_starts=stats.starts,
            messages_dropped=stats.messages_dropped,
            pictures_overwritten=stats.pictures_overwritten,
            speech_clients=self._lobby.speech_clients,
            displaced=self._lobby.displaced,
            requests_refused=sum(rates.refused for rates in (self._requests, self._openings, self._drawings)),
            connections=self._door.connections,
            connections_refused=self._door.refused,
            connections_timed_out=self._door.timed_out,
        )
        text = metrics.render(server, self._lobby.counts(), self._worker.pulse)
        return web.Response(text=text, headers={"Content-Type": metrics.CONTENT_TYPE})

    @property
    def _ready(self) -> bool:
        return self._worker.state is WorkerState.READY and self.gallery is not None

    async def _open(self, request: web.Request) -> web.Response:
        if request.content_type != SDP:
            raise web.HTTPUnsupportedMediaType(text=f"content type {request.content_type[:80]}, expected {SDP}\n")
        portrait, options, key = *self._session_options(request), _key(request)
        try:
            address = address_of(request)
            self._lobby.check_room(address, key)
            offer = await self._read_offer(request)
            check_offer(offer, self._limits, options.microphone)
            await self._openings.turn(address)
            prepare = partial(self._prepare, portrait, options)
            token, answer, delay_ms = await self._lobby.admit(offer, prepare, address, key)
        except ReplacedError as error:
            raise web.HTTPGone(text=f"{error}\n") from None
        except OfferError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from None
        except SessionError as error:
            raise self._unavailable(str(error)) from None
        headers = {"Location": f"/session/{token}", DELAY_HEADER: str(delay_ms), "Cache-Control": "no-store"}
        if options.face.background == TRANSPARENT:
            headers[VIDEO_HEADER] = LAYOUT
        return web.Response(status=201, text=answer, content_type=SDP, headers=headers)

    def _session_options(self, request: web.Request) -> tuple[Portrait, SessionOptions]:
        """What the query asks for, still without its background: nothing that costs."""
        gallery = self._known_gallery()
        try:
            portrait = gallery.find(request.query.get("avatar"))
        except BundleError as error:
            raise web.HTTPNotFound(text=f"{error}\n") from None
        asked = request.query.get("lookahead")
        if asked is not None and not (asked.isascii() and asked.isdigit() and len(asked) <= 5):
            raise web.HTTPBadRequest(text=f"lookahead is {asked[:20]!r}, expected whole milliseconds\n")
        try:
            chosen = live_lookahead_ms(self._manifest, self._default.lookahead_ms if asked is None else int(asked))
            face = face_options.of_query(request.query, self._default.face)
            face_options.check(self._manifest, face)
        except ConfigError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from None
        if (speech := request.query.get("speech", "0")) not in ("0", "1"):
            raise web.HTTPBadRequest(text=f"speech is {speech[:20]!r}, expected 0 or 1\n")
        record = None
        if self._recordings is not None:
            record = partial(self._recordings.recorder, portrait.name, chosen, face)
        options = SessionOptions(
            portrait.name, portrait.still, chosen, any_seed(), face, microphone=speech == "0", record=record
        )
        return portrait, options

    async def _prepare(self, portrait: Portrait, options: SessionOptions) -> SessionOptions:
        size = frame_size(self._manifest, portrait.photo.shape[0], options.face.size)
        try:
            return replace(options, still=await self._stills.still(portrait, options.face.background, size))
        except BundleError as error:
            raise _damaged(portrait, error) from None

    async def _read_offer(self, request: web.Request) -> str:
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

    def _known_gallery(self) -> Gallery:
        if self.gallery is None:
            raise self._unavailable(NOT_READY)
        return self.gallery

    def _unavailable(self, reason: str) -> web.HTTPServiceUnavailable:
        return web.HTTPServiceUnavailable(text=f"{reason}\n", headers={"Retry-After": str(self._limits.retry_after_s)})


def _damaged(portrait: Portrait, error: BundleError) -> web.HTTPException:
    logger.error("%s", error)  # it names a file of this machine
    return web.HTTPInternalServerError(text=f"the matte of avatar {portrait.name} cannot be read\n")


def _key(request: web.Request) -> str | None:
    key = request.query.get("key")
    if key is not None and not KEY.fullmatch(key):  # it is a secret: not repeated
        raise web.HTTPBadRequest(text="key must be 16 to 128 letters, digits, - or _\n")
    return key
