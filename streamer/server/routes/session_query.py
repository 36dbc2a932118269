"""Parser of the query parameters of a request that opens a session."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from aiohttp import web

from engines.manifest import Manifest
from streamer.audio.voice_activity import NeuralDetector
from streamer.avatar.badge import badged
from streamer.avatar.frame_size import frame_size
from streamer.avatar.gallery import Gallery, Portrait
from streamer.core.aio import Clock
from streamer.core.errors import BundleError, ConfigError
from streamer.core.options import any_seed
from streamer.core.units.arkit import ARKIT
from streamer.realtime.partner import RealtimePartner
from streamer.recording.recorder import Recordings
from streamer.server.looks import Looks
from streamer.server.options import ServeOptions
from streamer.server.session_options import PeerOptions
from streamer.server.stills import Stills
from streamer.session.control import Control
from streamer.session.listener import Listener
from streamer.session.numbers import NumberNames
from streamer.session.partner import Partner
from streamer.session.speech.speech_port import SpeechPort
from streamer.stages import face_options
from streamer.stages.lookahead import live_lookahead_ms

logger = logging.getLogger(__name__)


def listener(port: SpeechPort, control: Control, clock: Clock) -> Partner:
    """Make the partner that listens to the microphone while a program speaks through the face."""
    return Listener(NeuralDetector(), control)


class SessionQuery:
    """Reads the queries of one server. `gallery`: the avatars a request may choose; HTTPException if not loaded."""

    def __init__(
        self,
        manifest: Manifest,
        options: ServeOptions,
        stills: Stills,
        gallery: Callable[[web.Request], Gallery],
        recordings: Recordings | None,
    ) -> None:
        """options: session defaults. recordings: the recordings of all sessions, None if off."""
        self._manifest = manifest
        self._default = options
        self._stills = stills
        self._gallery = gallery
        self._recordings = recordings
        self._agent = None if options.realtime is None else partial(RealtimePartner, options.realtime)

    def read(self, request: web.Request) -> tuple[Portrait, PeerOptions]:
        """Return the portrait and the options, without the expensive part (see `prepare`). Raises HTTPException."""
        gallery = self._gallery(request)
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
            portrait.shows_whole(face)
        except ConfigError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from None
        speech = _flag(request, "speech")
        listens = _flag(request, "listen")
        if listens and speech:
            raise web.HTTPBadRequest(text="listen=1 hears a microphone, speech=1 has none; leave out one of them\n")
        numbers = None if _flag(request, "pictures", "1") else self._number_names()
        record = None
        if self._recordings is not None:
            record = partial(self._recordings.recorder, portrait.name, chosen, face)
        seed = any_seed(request.query.get("ticket"))
        options = PeerOptions(
            portrait.name,
            portrait.still,
            chosen,
            seed,
            face,
            microphone=not speech,
            partner=None if speech else listener if listens else self._agent,
            record=record,
            pictures=numbers is None,
            shown=numbers is None,
            numbers=numbers,
            read_look=Looks(self._manifest, face, partial(self._gallery, request)).read,
        )
        return portrait, options

    def _number_names(self) -> NumberNames:
        names = self._manifest.coefficients
        if not ARKIT.issuperset(names.expression):
            reason = f"pictures=0 gives ARKit units, and what family {self._manifest.family} computes is none"
            raise web.HTTPBadRequest(text=f"{reason}\n")
        return NumberNames(tuple(names.expression), tuple(names.pose))

    async def prepare(self, portrait: Portrait, options: PeerOptions) -> PeerOptions:
        """Complete the options with the still shown until the first picture. Raises HTTPException."""
        if options.partner is listener:
            await asyncio.to_thread(NeuralDetector)  # loads the model if it is not loaded yet
        if options.numbers is not None:
            return replace(options, still=options.numbers.nothing)
        size = frame_size(self._manifest, portrait.photo.shape[0], options.face)
        try:
            if portrait.shows_whole(options.face):
                still = await self._stills.whole(portrait)
            else:
                still = await self._stills.still(portrait, options.face.background, size)
        except BundleError as error:
            raise damaged(portrait, error) from None
        return replace(options, still=badged(still) if options.face.badge else still)


def damaged(portrait: Portrait, error: BundleError) -> web.HTTPException:
    """Return the response (500) when a portrait's matte cannot be read."""
    logger.error("%s", error)  # log only: the message names a file of this machine
    return web.HTTPInternalServerError(text=f"the matte of avatar {portrait.name} cannot be read\n")


def _flag(request: web.Request, name: str, unasked: str = "0") -> bool:
    if (value := request.query.get(name, unasked)) not in ("0", "1"):
        raise web.HTTPBadRequest(text=f"{name} is {value[:20]!r}, expected 0 or 1\n")
    return value == "1"
