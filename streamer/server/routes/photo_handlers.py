"""Photo uploads (POST /avatars), and renaming and removing the resulting avatars.

With a token, a photo belongs to the token's owner: no other visitor can see, rename or remove it.

Without tokens, a photo's avatar is visible to all other visitors. So a photo is accepted only by a server that listens
on a loopback address, and only if no proxy forwarded the request. A proxy is recognized by its headers; a proxy that
adds none, by an HTTP version older than browsers use, by a Host that differs from the page's host or from our port, or
by a process of another user.
"""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

from aiohttp import HttpVersion11, web

from engines.manifest import Manifest
from streamer.access.grant import PHOTOS
from streamer.avatar.gallery import Gallery, Portrait
from streamer.core.errors import BundleError, ConfigError, PhotoError, SessionError, StoreError
from streamer.inference.worker import InferenceWorker
from streamer.server.photos.own_photos import Photos
from streamer.server.photos.photo_desk import BUSY, ChooseFaceError, PhotoDesk
from streamer.web.access import grant_of, is_asked_for
from streamer.web.neighbour import is_another_users

logger = logging.getLogger(__name__)

ELSEWHERE = (
    "photos are taken on the server's own machine only, from the user who runs it; "
    "there, `avatar prepare PHOTO` makes an avatar, too\n"
)
PASSED_ON = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")
FACES_HEADER = "Avatar-Faces"  # number of faces to choose from
CLOSED = "this server takes no photos\n"
RETRY_S = "2"


class PhotoHandlers:
    """The handlers of one server. `local`: the server is for its own machine only. `wanted`: photos are enabled."""

    def __init__(self, manifest: Manifest, worker: InferenceWorker, photos: Photos, local: bool, wanted: bool) -> None:
        self._manifest = manifest
        self._worker = worker
        self._photos = photos
        self._limits = photos.limits
        self._desk = PhotoDesk(manifest, self._limits)
        self._taken = wanted and "coefficients" in manifest.stages
        self._local = local

    def takes(self, request: web.Request) -> bool:
        """Return whether the sender of this request may send photos."""
        if is_asked_for(request):
            grant = grant_of(request)
            return self._taken and grant.may(PHOTOS) and self._photos.takes_of(grant.owner)
        return self._taken and self._local and not passed_on(request)

    async def add(self, request: web.Request, gallery: Gallery) -> web.Response:
        """Make an avatar of the body, an image file. ?title=: its title. ?face=: which of several faces."""
        if not self.takes(request):
            raise web.HTTPForbidden(text=CLOSED if is_asked_for(request) else ELSEWHERE)
        owner, most_photos = grant_of(request).owner, grant_of(request).photos
        if most_photos is None and owner:
            most_photos = self._limits.each
        if most_photos is not None and gallery.owned(owner) >= min(most_photos, self._limits.each):
            raise web.HTTPConflict(text=f"{min(most_photos, self._limits.each)} photos are kept; remove one first\n")
        if self._desk.busy:
            raise web.HTTPServiceUnavailable(text=f"{BUSY}\n", headers={"Retry-After": RETRY_S})
        if (request.content_length or 0) > self._limits.bytes:
            most = self._limits.bytes >> 20
            raise web.HTTPRequestEntityTooLarge(
                self._limits.bytes, request.content_length or 0, text=f"the photo is larger than the {most} MiB taken\n"
            )
        face = request.query.get("face")
        if face is not None and not (face.isascii() and face.isdigit() and 0 < int(face[:4]) < 100):
            raise web.HTTPBadRequest(text=f"face is {face[:20]!r}, expected 1 to 99, counted from the left\n")
        try:
            title = request.query.get("title", "")
            number = None if face is None else int(face)
            made = await self._desk.make(request.content.iter_any(), title, number, owner)
            await self._photos.keep(made.name, owner)
            await self._worker.load(made.name, self._limits.load_s)
            listed = gallery.add(self._manifest, made.name)
        except ChooseFaceError as error:
            raise web.HTTPUnprocessableEntity(text=f"{error}\n", headers={FACES_HEADER: str(error.count)}) from None
        except PhotoError as error:
            raise web.HTTPUnprocessableEntity(text=f"{error}\n") from None
        except (BundleError, SessionError) as error:
            raise web.HTTPServiceUnavailable(text=f"{error}\n", headers={"Retry-After": RETRY_S}) from None
        except StoreError as error:
            raise _not_kept(error) from None
        found = {"avatar": listed, "notes": made.notes}
        return web.json_response(found, status=201, headers=self._photos.told(owner))

    async def rename(self, request: web.Request, gallery: Gallery) -> web.Response:
        """Change an avatar's title to ?title=."""
        portrait = self._of_own(request, gallery)
        try:
            await self._photos.rename(portrait.name, portrait.owner, request.query.get("title", ""))
            listed = gallery.add(self._manifest, portrait.name)
            return web.json_response(listed, headers=self._photos.told(portrait.owner))
        except ConfigError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from None
        except BundleError as error:
            raise web.HTTPConflict(text=f"{error}\n") from None
        except StoreError as error:
            raise _not_kept(error) from None

    async def remove(self, request: web.Request, gallery: Gallery) -> web.Response:
        """Remove an avatar permanently. Sessions that show it continue."""
        portrait = self._of_own(request, gallery)
        if portrait.name == gallery.default:
            raise web.HTTPConflict(text="the server was started with this avatar; it stays until the server ends\n")
        try:
            await self._photos.remove(portrait.name, portrait.owner)
        except BundleError as error:
            raise web.HTTPConflict(text=f"{error}\n") from None
        except StoreError as error:
            raise _not_kept(error) from None
        gallery.remove(portrait.name)
        self._worker.unload(portrait.name)
        return web.Response(text="removed\n", headers=self._photos.told(portrait.owner))

    def _of_own(self, request: web.Request, gallery: Gallery) -> Portrait:
        if not (is_asked_for(request) or self.takes(request)):  # with a token: allowed even if new photos are not
            raise web.HTTPForbidden(text=ELSEWHERE)
        grant = grant_of(request)
        try:
            seen = gallery.only(lambda portrait: grant.shows(portrait.name, portrait.owner))
            portrait = seen.find(request.match_info["name"])
        except BundleError as error:
            raise web.HTTPNotFound(text=f"{error}\n") from None
        if not (portrait.own and grant.owns(portrait.owner)):
            raise web.HTTPForbidden(text=f"{portrait.name} comes with the server; only your own faces can be altered\n")
        return portrait


def _not_kept(error: StoreError) -> web.HTTPServiceUnavailable:
    """Return the response when the photo store fails; the store's address goes to the log only."""
    logger.error("%s", error)
    text = "photos cannot be kept or altered at the moment; try again later\n"
    return web.HTTPServiceUnavailable(text=text, headers={"Retry-After": RETRY_S})


def passed_on(request: web.Request) -> bool:
    """Return whether a proxy forwarded the request.

    nginx by default adds no header, but uses HTTP/1.0, which browsers have not used for decades.
    """
    if any(header in request.headers for header in PASSED_ON) or request.version < HttpVersion11:
        return True
    own, peer = (request.get_extra_info(name) for name in ("sockname", "peername"))
    if own is None or peer is None or is_another_users(peer[:2], own[:2]):
        return True
    try:
        if (urlsplit(f"//{request.host}").port or (443 if request.secure else 80)) != own[1]:
            return True
    except ValueError:
        return True
    pages = [request.headers[name] for name in ("Origin", "Referer") if name in request.headers]
    return any(urlsplit(page).netloc.lower() != request.host.lower() for page in pages)
