"""The HTTP interface: the page, its avatars, WHIP-like sessions, health and metrics.

    GET    /                     the page; its scripts, styles and icon are at their file names
    GET    /obs                  the page for OBS's Browser Source
    GET    /avatars              JSON: avatars (name, title, picture, default); ready: whether sessions can be opened;
                                 recorded: whether sessions are recorded; photos: whether the caller may POST a photo;
                                 voice: whether text can be spoken; agent: whether a voice agent answers microphones;
                                 sizes: the picture sizes to choose from
    POST   /avatars              body: a photo; response: 201 and JSON of its avatar; needs a token, or a request from
                                 the server's own machine; ?title=TEXT&face=N
    PATCH  /avatars/NAME         ?title=TEXT: rename one of the caller's own avatars; JSON of the avatar
    DELETE /avatars/NAME         remove one of the caller's own avatars
    GET    /avatars/NAME.png     a portrait; ?background= as below
    POST   /voice                body: a short text; response: speech (WAV); ?language=
    GET    /ice                  JSON: TURN servers, with credentials, for an RTCPeerConnection
    POST   /session              body: SDP offer; response: 201, SDP answer and Location; ?avatar=NAME&lookahead=MS;
                                 the face's behaviour: still=1, pose-style=N, expression-scale=X, yaw=, pitch=, roll=
                                 in degrees; background=rrggbb|blur|transparent|none;
                                 ticket=TEXT: a random name for the waiting line, if the request is refused;
                                 speech=1: pushed speech only, the offer needs no microphone; key=SECRET: the session
                                 is also at /session/SECRET, except for DELETE, and replaces an older one with this key
    GET    /session/TOKEN/speech WebSocket to push speech; docs/speech.md
    GET    /session/TOKEN/control WebSocket to steer the face and receive its events; docs/control.md
    GET    /session/TOKEN/numbers WebSocket of ARKit units, for a session opened with ?pictures=0; docs/numbers.md
    POST   /session/TOKEN/say    body: a text to speak; ?language=, ?interrupt=1
    DELETE /session/TOKEN/say    stop speaking at once; JSON: how much was heard
    GET    /session/TOKEN        JSON: counters since the session began
    DELETE /session/TOKEN        end the session: 200; 410 if a newer call with its key replaced it
    POST   /whip                 publish a microphone by WHIP; others watch its face; docs/api.md
    POST   /whep/WATCH           watch a session; docs/api.md
    GET    /healthz              200 when the engines are warm, else 503
    GET    /metrics              Prometheus text
    GET    /openapi.json         this interface as OpenAPI 3.1

A refusal is one line of plain text.
"""

from __future__ import annotations

import logging

from aiohttp import web

from engines.manifest import Manifest
from streamer.avatar.frame_size import offered_sizes
from streamer.avatar.gallery import Gallery
from streamer.core.aio import MonotonicClock
from streamer.core.errors import BundleError, ConfigError
from streamer.core.limits import RATES, Limits, RateLimits
from streamer.inference.worker import InferenceWorker, WorkerState
from streamer.recording.recorder import Recordings
from streamer.server import metrics
from streamer.server.assets import ASSETS, WEB
from streamer.server.openapi import document
from streamer.server.options import ServeOptions
from streamer.server.photos.own_photos import OwnPhotos, Photos
from streamer.server.registry import Lobby
from streamer.server.routes.ice_handlers import IceHandlers
from streamer.server.routes.photo_handlers import PhotoHandlers
from streamer.server.routes.say_handlers import SayHandlers
from streamer.server.routes.session_handlers import SessionHandlers, unavailable
from streamer.server.routes.session_query import damaged
from streamer.server.routes.voice_handlers import VoiceHandlers
from streamer.server.routes.whep_handlers import WhepHandlers
from streamer.server.stills import Stills
from streamer.stages import face_options
from streamer.voice.choice import open_voice
from streamer.web.access import grant_of
from streamer.web.door import Door
from streamer.web.request_log import RequestLog
from streamer.web.throttle import Throttles, address_of
from streamer.webrtc.turn_credentials import read_turn

logger = logging.getLogger(__name__)

NOT_READY = "the engines are not ready yet; try again in a moment"


class Handlers:
    """The handlers of one server. `gallery` is None until the portraits are read, perhaps before the warm-up ends."""

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
        log: RequestLog | None = None,
        rates: RateLimits = RATES,
        photos: Photos | None = None,
    ) -> None:
        """options: session defaults. recordings: the recordings of all sessions, None if off.

        door, requests, log: the layers in front of all routes, for their counters. rates: limits of expensive requests.
        photos: storage of visitors' photos; None is this machine's disk.

        Raises ConfigError if the voice is not available or a TURN server is invalid.
        """
        self._door = door
        self._requests = requests
        self._log = log or RequestLog(MonotonicClock())
        self.gallery: Gallery | None = None
        self._manifest = manifest
        self._options = options
        self._worker = worker
        self._lobby = lobby
        self._limits = limits
        self._kept = photos or OwnPhotos(manifest, worker, lambda: self.gallery)
        self._photos = PhotoHandlers(manifest, worker, self._kept, options.local, options.photos)
        self._ice = IceHandlers(read_turn(options.turn, options.turn_secret), limits)
        self._photo_days = options.photo_days
        self._stills = Stills()
        self._drawings = Throttles(rates.pictures_each, rates.pictures, rates.patience_s, MonotonicClock())
        self._figures = Throttles(rates.figures_each, rates.figures, rates.patience_s, MonotonicClock())
        self._recordings = recordings
        self._sessions = SessionHandlers(
            manifest, lobby, limits, options, self._stills, self._seen_gallery, recordings, rates
        )
        self._whep = WhepHandlers(
            lobby.watched,
            self._sessions.read_offer,
            self._sessions.turn_to_read,
            self._sessions.turn,
            limits,
            MonotonicClock(),
        )
        self._synthesiser = open_voice(options.voice)
        self._voice = VoiceHandlers(self._synthesiser)
        self._say = SayHandlers(self._synthesiser, self._sessions.found)

    async def close(self) -> None:
        """Close the speech synthesiser."""
        if self._synthesiser is not None:
            await self._synthesiser.close()

    async def expire_photos(self) -> None:
        """Remove expired photos of visitors periodically, until cancelled."""
        await self._kept.expire(self._photo_days)

    def show(self, gallery: Gallery) -> None:
        """Set the gallery that the server starts with."""
        self.gallery = self._kept.begin(gallery)

    def routes(self) -> list[web.RouteDef]:
        """Return all routes of the interface."""
        return [
            *(web.get(path, self.asset) for path in ASSETS),
            web.get("/avatars", self.avatars),
            web.post("/avatars", self.add_avatar),
            web.get("/avatars/{name}.png", self.picture),
            web.patch("/avatars/{name}", self.rename_avatar),
            web.delete("/avatars/{name}", self.remove_avatar),
            web.post("/voice", self._voice.speak),
            web.get("/ice", self._ice.servers),
            web.post("/session", self._sessions.open),
            web.get("/session/{token}", self._sessions.report),
            web.delete("/session/{token}", self._sessions.close),
            web.get("/session/{token}/speech", self._sessions.speech),
            web.get("/session/{token}/control", self._sessions.control),
            web.get("/session/{token}/numbers", self._sessions.numbers),
            web.post("/session/{token}/say", self._say.say),
            web.delete("/session/{token}/say", self._say.hush),
            *self._whep.routes(),
            web.post("/whip", self._sessions.publish),
            web.options("/whip", self._whep.options),
            web.get("/whip/{token}", self._sessions.look),
            web.patch("/whip/{token}", self._sessions.trickle),
            web.delete("/whip/{token}", self._sessions.unpublish),
            web.get("/healthz", self.health),
            web.get("/metrics", self.metrics),
            web.get("/openapi.json", self.openapi),
        ]

    async def asset(self, request: web.Request) -> web.StreamResponse:
        """Serve a file of a page. /obs starts a session by itself, so links from other sites are refused."""
        if request.path == "/obs" and request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise web.HTTPForbidden(text="links of other sites do not open this page; type or paste its address\n")
        return web.FileResponse(WEB / ASSETS[request.path], headers={"Cache-Control": "no-cache"})

    async def avatars(self, request: web.Request) -> web.Response:
        """List the avatars and this server's capabilities."""
        found = {
            "avatars": self._seen_gallery(request).listing(grant_of(request).owns),
            "ready": self._ready,
            "recorded": self._recordings is not None,
            "photos": self._photos.takes(request),
            "voice": self._voice.available,
            "agent": self._options.realtime is not None,
            "sizes": offered_sizes(self._manifest),
        }
        return web.json_response(found, headers={"Cache-Control": "no-store"})

    async def add_avatar(self, request: web.Request) -> web.Response:
        """Make an avatar of a photo."""
        if not self._ready:
            raise unavailable(NOT_READY, self._limits)
        return await self._photos.add(request, self._known_gallery())

    async def rename_avatar(self, request: web.Request) -> web.Response:
        """Rename one of the caller's own avatars."""
        return await self._photos.rename(request, self._known_gallery())

    async def remove_avatar(self, request: web.Request) -> web.Response:
        """Remove one of the caller's own avatars."""
        return await self._photos.remove(request, self._known_gallery())

    async def picture(self, request: web.Request) -> web.Response:
        """Serve a portrait on the background that a session with the same query would have."""
        try:
            portrait = self._seen_gallery(request).find(request.match_info["name"])
            background = face_options.of_query(request.query, self._options.face).background
        except BundleError as error:
            raise web.HTTPNotFound(text=f"{error}\n") from None
        except ConfigError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from None
        if not self._stills.knows_png(portrait, background):
            await self._drawings.turn(address_of(request))
        try:
            png = await self._stills.png(portrait, background)
        except BundleError as error:
            raise damaged(portrait, error) from None
        return web.Response(body=png, content_type="image/png", headers={"Cache-Control": "no-cache"})

    async def health(self, request: web.Request) -> web.Response:
        """Report whether sessions can be opened."""
        state = "ready" if self._ready else self._worker.failure or "starting"
        return web.Response(
            status=200 if self._ready else 503, text=f"{state}\n", headers={"Cache-Control": "no-store"}
        )

    async def openapi(self, request: web.Request) -> web.Response:
        """Serve the OpenAPI document."""
        return web.json_response(document(tokens=bool(self._options.token_keys)))

    async def metrics(self, request: web.Request) -> web.Response:
        """Serve all metrics."""
        await self._figures.turn(address_of(request))
        stats, refusing = self._worker.stats, (self._requests, self._drawings, self._figures)
        server = metrics.ServerCounts(
            ready=self._worker.state is WorkerState.READY,
            open_sessions=self._lobby.open_sessions,
            most_sessions=self._lobby.most_sessions,
            waiting=len(self._lobby.waiting),
            sessions=self._lobby.opened,
            refused=self._sessions.refused,
            worker_starts=stats.starts,
            messages_dropped=stats.messages_dropped,
            pictures_overwritten=stats.pictures_overwritten,
            speech_clients=self._lobby.speech_clients,
            displaced=self._lobby.displaced,
            requests_refused=self._sessions.too_fast + sum(rates.refused for rates in refusing),
            connections=self._door.connections,
            connections_refused=self._door.refused,
            connections_timed_out=self._door.timed_out,
        )
        text = metrics.render(server, self._lobby.counts(), self._worker.pulse, self._log.times)
        return web.Response(text=text, headers={"Content-Type": metrics.CONTENT_TYPE})

    @property
    def _ready(self) -> bool:
        return self._worker.state is WorkerState.READY and self.gallery is not None

    def _seen_gallery(self, request: web.Request) -> Gallery:
        """Return the avatars that the caller may see."""
        grant = grant_of(request)
        return self._known_gallery().only(lambda portrait: grant.shows(portrait.name, portrait.owner))

    def _known_gallery(self) -> Gallery:
        if self.gallery is None:
            raise unavailable(NOT_READY, self._limits)
        return self.gallery
