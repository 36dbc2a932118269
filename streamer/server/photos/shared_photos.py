"""Visitors' faces that several servers share: this one looks where they are kept before a visitor asks for them.

What was added, renamed or removed through another server is so here when the next request comes. Where the store does
not answer, visitors see what this server knew last, and nothing is added or altered.
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
MOST_EACH = 50  # of one visitor
KEPT = 100  # faces that a server knows; those of who was here longest ago go
MOST_OWNERS = 1_000  # whom a server knows
THREADS = 4
PATIENCE_S = 25.0  # with the store
AGAIN_S = 5.0  # after the store failed: until then only changes try it
SWEEP_S = 3600.0
SILENT = "the store of photos does not answer; try again in a moment"

logger = logging.getLogger(__name__)
Value = TypeVar("Value")


class PhotoStore(Protocol):
    """Where they are kept. All methods block. A visitor is named by what `visitor` says of an owner."""

    def visitor(self, owner: str) -> str:
        """The name of an owner there; it costs nothing."""

    def visitors(self) -> list[str]:
        """Those whose photos are newest. Raises StoreError."""

    def fetch(self, visitor: str) -> dict[str, str]:
        """Have all of a visitor's on this machine; the version of each, by name. Raises StoreError."""

    def put(self, name: str) -> str:
        """Share a face that was just made here; its version. Raises BundleError, StoreError; then it is gone here."""

    def rename(self, name: str, title: str) -> str:
        """Call it something else; its new version. Raises BundleError, ConfigError, StoreError."""

    def remove(self, name: str) -> None:
        """The end of a face. Raises BundleError, StoreError."""

    def let_go(self, name: str) -> None:
        """A face is not to be on this machine any more."""

    def expire(self, days: float) -> set[str]:
        """Remove what is older than so many days; the names of all that is left. Raises StoreError."""


@dataclass
class _Visitor:
    """seen: when the last look at the store began; versions: what it found, by name."""

    seen: float = float("-inf")
    versions: dict[str, str] = field(default_factory=dict)
    looking: asyncio.Lock = field(default_factory=asyncio.Lock)


class SharedPhotos:
    """Of one server. See `own_photos.Photos`."""

    limits = replace(PhotoLimits(), avatars=10_000, each=MOST_EACH)  # a disk has those of many; KEPT are loaded

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
        self._visitors: OrderedDict[str, _Visitor] = OrderedDict()  # those here last at the end
        self._threads = ThreadPoolExecutor(THREADS, "photos")
        self._failed = float("-inf")

    def begin(self, gallery: Gallery) -> Gallery:
        """Those of whoever runs the cluster, which nobody alters here; visitors' are looked for when they come."""
        ours = (replace(portrait, own=False) for portrait in gallery.portraits() if not portrait.owner)
        return Gallery(ours, gallery.default)

    def takes_of(self, owner: str) -> bool:
        """Those of visitors: faces for all are put on the shelf by whoever runs the cluster."""
        return owner != ""

    async def keep(self, name: str, owner: str) -> None:
        """Share a face that was just made. Raises BundleError, StoreError."""
        async with self._changing(owner) as visitor:
            visitor.versions[name] = await self._ask(lambda: self._store.put(name))

    async def rename(self, name: str, owner: str, title: str) -> None:
        """Call it something else. Raises BundleError, ConfigError, StoreError."""
        async with self._changing(owner) as visitor:
            visitor.versions[name] = await self._ask(lambda: self._store.rename(name, title))

    async def remove(self, name: str, owner: str) -> None:
        """The end of it. Raises BundleError, StoreError."""
        async with self._changing(owner) as visitor:
            await self._ask(lambda: self._store.remove(name))
            visitor.versions.pop(name, None)

    async def expire(self, days: float) -> None:
        """Remove what is older than so many days, every hour, and forget what is not there."""
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
        """Whose they are, for the gateway to tell the other servers."""
        return {OWNER_HEADER: owner}

    async def heard(self, owner: str) -> None:
        """Something of this owner's has changed elsewhere: look, if the owner is known here."""
        if (visitor := self._store.visitor(owner)) in self._visitors:
            await self._look(visitor)

    def middleware(self) -> Middleware:
        """Look before a visitor's faces are asked for. The innermost: it has to know who asks."""

        @web.middleware
        async def looked(request: web.Request, handler: Handler) -> web.StreamResponse:
            """Where the store does not answer, go on with what was known before."""
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
        """Whether it is a face that all are shown, or none."""
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
        """While something changes nobody looks, and finds what was before."""
        visitor = self._of(self._store.visitor(owner))
        async with visitor.looking:
            yield visitor

    async def _look(self, name: str) -> None:
        """See what there is of a visitor's now. One look serves all who asked before it began. Raises StoreError."""
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
        """A visitor, who is here now; of others as many as are kept stay."""
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
        """Sessions that show it go on."""
        visitor.versions.pop(name, None)
        if (gallery := self._gallery()) is not None:
            gallery.remove(name)
        self._worker.unload(name)

    async def _ask(self, work: Callable[[], Value]) -> Value:
        """Do what blocks in a thread. Raises StoreError after PATIENCE_S."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError:
            self._failed = self._clock.now()
            raise StoreError(SILENT) from None
        except StoreError:
            self._failed = self._clock.now()
            raise
