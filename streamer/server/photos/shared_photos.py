"""Visitors' avatars shared by several servers: this server syncs with the store before a visitor's request needs them.

So a change made through another server is visible here at the next request. While the store does not respond, visitors
see the last known state, and changes are refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from engines.manifest import Manifest
from streamer.access.grant import Grant
from streamer.avatar.gallery import Gallery, read_portrait
from streamer.core.aio import Clock
from streamer.core.errors import BundleError, StoreError
from streamer.core.limits import PhotoLimits
from streamer.inference.worker import InferenceWorker
from streamer.web.access import grant_of

OWNER_HEADER = "Avatar-Photos-Of"
OPENING = ("/session", "/whip")
MOST_EACH = 50  # avatars per visitor
KEPT = 100  # avatars that a server keeps loaded; those of the least recent visitors are evicted
MOST_OWNERS = 1_000  # visitors that a server tracks
THREADS = 4
PATIENCE_S = 25.0  # timeout of a store operation
AGAIN_S = 5.0  # after a failure of the store, only changes use it for this long
SWEEP_S = 3600.0
SILENT = "the store of photos does not answer; try again in a moment"

logger = logging.getLogger(__name__)
Value = TypeVar("Value")


class PhotoStore(Protocol):
    """The shared store. All methods except `visitor` block. A visitor is identified by `visitor(owner)`."""

    def visitor(self, owner: str) -> str:
        """Return the visitor name of an owner; does not block."""

    def visitors(self) -> list[str]:
        """Return the visitors with the newest photos. Raises StoreError."""

    def fetch(self, visitor: str) -> dict[str, str]:
        """Copy a visitor's avatars to this machine; return the version of each, by name. Raises StoreError."""

    def put(self, name: str) -> str:
        """Share an avatar made here; return its version.

        Raises BundleError, StoreError; the avatar is then removed from this machine.
        """

    def rename(self, name: str, title: str) -> str:
        """Change an avatar's title; return its new version. Raises BundleError, ConfigError, StoreError."""

    def remove(self, name: str) -> None:
        """Remove an avatar from the store and this machine. Raises BundleError, StoreError."""

    def let_go(self, name: str) -> None:
        """Remove an avatar's copy from this machine."""

    def expire(self, days: float) -> set[str]:
        """Remove avatars older than this many days; return the names of the rest. Raises StoreError."""


@dataclass
class _Visitor:
    """The known state of one visitor. seen: when the last sync began. versions: the avatars' versions, by name."""

    seen: float = float("-inf")
    versions: dict[str, str] = field(default_factory=dict)
    looking: asyncio.Lock = field(default_factory=asyncio.Lock)


class SharedPhotos:
    """Shared avatars as seen by one server. Implements `own_photos.Photos`."""

    limits = replace(PhotoLimits(), avatars=10_000, each=MOST_EACH)  # on disk; at most about KEPT of them are loaded

    def __init__(
        self,
        store: PhotoStore,
        manifest: Manifest,
        worker: InferenceWorker,
        gallery: Callable[[], Gallery | None],
        clock: Clock,
    ) -> None:
        self._store, self._manifest, self._worker, self._gallery = store, manifest, worker, gallery
        self._clock = clock
        self._visitors: OrderedDict[str, _Visitor] = OrderedDict()  # the most recent last
        self._threads = ThreadPoolExecutor(THREADS, "photos")
        self._failed = float("-inf")

    def begin(self, gallery: Gallery) -> Gallery:
        """Return the operator's avatars, marked read-only. Visitors' avatars are loaded when the visitor comes."""
        ours = (replace(portrait, own=False) for portrait in gallery.portraits() if not portrait.owner)
        return Gallery(ours, gallery.default)

    def takes_of(self, owner: str) -> bool:
        """Return whether this is a visitor; public avatars are published by the cluster's operator instead."""
        return owner != ""

    async def keep(self, name: str, owner: str) -> None:
        """Share a newly created avatar. Raises BundleError, StoreError."""
        async with self._changing(owner) as visitor:
            visitor.versions[name] = await self._ask(lambda: self._store.put(name))

    async def rename(self, name: str, owner: str, title: str) -> None:
        """Change an avatar's title. Raises BundleError, ConfigError, StoreError."""
        async with self._changing(owner) as visitor:
            visitor.versions[name] = await self._ask(lambda: self._store.rename(name, title))

    async def remove(self, name: str, owner: str) -> None:
        """Remove an avatar. Raises BundleError, StoreError."""
        async with self._changing(owner) as visitor:
            await self._ask(lambda: self._store.remove(name))
            visitor.versions.pop(name, None)

    async def expire(self, days: float) -> None:
        """Every hour, remove avatars older than this many days from the store and unload those no longer in it."""
        while True:
            try:
                left = await self._ask(lambda: self._store.expire(days))
                for visitor in self._visitors.values():
                    for name in visitor.versions.keys() - left:
                        self._drop(visitor, name)
            except StoreError as error:
                logger.error("%s", error)
            await asyncio.sleep(SWEEP_S)

    def told(self, owner: str) -> Mapping[str, str]:
        """Return the header that names the owner, so that the gateway can notify the other servers."""
        return {OWNER_HEADER: owner}

    async def heard(self, owner: str) -> None:
        """Sync this owner's avatars after a change on another server, if the owner is known here. Raises StoreError."""
        if (visitor := self._store.visitor(owner)) in self._visitors:
            await self._look(visitor)

    def middleware(self) -> Middleware:
        """Return middleware that syncs before a request for a visitor's avatars.

        Install it innermost, because it needs the caller's grant.
        """

        @web.middleware
        async def looked(request: web.Request, handler: Handler) -> web.StreamResponse:
            """Sync if needed and handle the request; if the store does not respond, use the last known state."""
            grant = grant_of(request)
            if request.path in OPENING and request.method == hdrs.METH_POST:
                self._of(self._store.visitor(grant.owner))
                concerned = not self._is_ours(request.query.get("avatar"))
            else:
                concerned = request.path.startswith("/avatars")
            if concerned and self._clock.now() > self._failed + AGAIN_S:
                await self._try_to_look(grant)
            return await handler(request)

        return looked

    def _is_ours(self, name: str | None) -> bool:
        """Return whether no sync is needed for this avatar: no name is given, or it is public."""
        gallery = self._gallery()
        return gallery is None or name is None or any(p.name == name and not p.owner for p in gallery.portraits())

    async def _try_to_look(self, grant: Grant) -> None:
        try:
            all_of_them = await self._ask(self._store.visitors) if grant.rules else []
            for visitor in all_of_them or [self._store.visitor(grant.owner)]:
                await self._look(visitor)
        except StoreError as error:
            logger.error("%s; visitors see the photos that were known before", error)

    @contextlib.asynccontextmanager
    async def _changing(self, owner: str) -> AsyncIterator[_Visitor]:
        """Hold the visitor's lock during a change, so that no sync reads the state before it."""
        visitor = self._of(self._store.visitor(owner))
        async with visitor.looking:
            yield visitor

    async def _look(self, name: str) -> None:
        """Sync a visitor's avatars with the store. Raises StoreError.

        Callers that asked before a sync began share its result.
        """
        asked, visitor = self._clock.now(), self._of(name)
        async with visitor.looking:
            if visitor.seen > asked:
                return
            seen = self._clock.now()
            versions = await self._ask(lambda: self._store.fetch(name))
            for gone in visitor.versions.keys() - versions.keys():
                self._drop(visitor, gone)
                await self._ask(lambda: self._store.let_go(gone))  # noqa: B023 - it is awaited here
            for each, version in versions.items():
                if visitor.versions.get(each) != version:
                    await self._show(visitor, each, version)
            visitor.seen = seen

    async def _show(self, visitor: _Visitor, name: str, version: str) -> None:
        try:
            portrait = await self._ask(lambda: read_portrait(self._manifest, name))
        except BundleError as error:
            logger.error("%s", error)
            return
        if (gallery := self._gallery()) is not None:
            gallery.take(portrait)
            self._worker.announce(name)
            visitor.versions[name] = version

    def _of(self, name: str) -> _Visitor:
        """Return a visitor's state and mark it as the most recent; evict the least recent over the limits."""
        visitor = self._visitors.setdefault(name, _Visitor())
        self._visitors.move_to_end(name)
        while len(self._visitors) > MOST_OWNERS or self._known > KEPT:
            first = next(iter(self._visitors))
            if first == name:
                break
            left = self._visitors.pop(first)
            for each in list(left.versions):
                self._drop(left, each)
        return visitor

    @property
    def _known(self) -> int:
        return sum(len(visitor.versions) for visitor in self._visitors.values())

    def _drop(self, visitor: _Visitor, name: str) -> None:
        """Unload an avatar. Sessions that show it continue."""
        visitor.versions.pop(name, None)
        if (gallery := self._gallery()) is not None:
            gallery.remove(name)
        self._worker.unload(name)

    async def _ask(self, work: Callable[[], Value]) -> Value:
        """Run a blocking operation in a thread. Raises StoreError on failure or after PATIENCE_S."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError:
            self._failed = self._clock.now()
            raise StoreError(SILENT) from None
        except StoreError:
            self._failed = self._clock.now()
            raise
