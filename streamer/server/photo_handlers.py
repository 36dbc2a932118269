"""POST /avatars: a photo in, an avatar out; for whoever sits at the machine that the server runs on.

Whoever sends a photo makes the server work, fills its disk and shows a face to all other visitors. So it is taken only
by a server that listens on a loopback address, from a request that no proxy passed on.
"""

from __future__ import annotations

from aiohttp import web

from engines.manifest import Manifest
from streamer.avatar.gallery import Gallery
from streamer.core.errors import BundleError, PhotoError, SessionError
from streamer.core.limits import PhotoLimits
from streamer.inference.worker import InferenceWorker
from streamer.server.photo_desk import PhotoDesk
from streamer.web.listen import is_loopback

ELSEWHERE = "photos are taken on the server's own machine only; there, `avatar prepare PHOTO` makes an avatar, too\n"
PASSED_ON = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")
RETRY_S = "2"


class PhotoHandlers:
    """The handler of one server. `listening_on` is its host, `wanted` whether it is to take photos at all."""

    def __init__(self, manifest: Manifest, worker: InferenceWorker, listening_on: str, wanted: bool) -> None:
        self._manifest = manifest
        self._worker = worker
        self._limits = PhotoLimits()
        self._desk = PhotoDesk(manifest, self._limits)
        self._taken = wanted and is_loopback(listening_on) and "coefficients" in manifest.stages

    def takes(self, request: web.Request) -> bool:
        """Whether whoever asks may send photos."""
        return self._taken and not any(header in request.headers for header in PASSED_ON)

    async def add(self, request: web.Request, gallery: Gallery) -> web.Response:
        """Make an avatar of the body, a picture's file; ?title= is what people see it called."""
        if not self.takes(request):
            raise web.HTTPForbidden(text=ELSEWHERE)
        if self._desk.busy:
            raise web.HTTPServiceUnavailable(
                text="another photo is being worked on; try again in a moment\n", headers={"Retry-After": RETRY_S}
            )
        if (request.content_length or 0) > self._limits.bytes:
            most = self._limits.bytes >> 20
            raise web.HTTPRequestEntityTooLarge(
                self._limits.bytes, request.content_length or 0, text=f"the photo is larger than the {most} MiB taken\n"
            )
        try:
            made = await self._desk.make(request.content.iter_any(), request.query.get("title", ""))
            await self._worker.load(made.name, self._limits.load_s)
            listed = gallery.add(self._manifest, made.name)
        except PhotoError as error:
            raise web.HTTPUnprocessableEntity(text=f"{error}\n") from None
        except (BundleError, SessionError) as error:
            raise web.HTTPServiceUnavailable(text=f"{error}\n", headers={"Retry-After": RETRY_S}) from None
        return web.json_response({"avatar": listed, "notes": made.notes}, status=201)
