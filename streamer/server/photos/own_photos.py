"""What becomes of the faces that visitors have made of their photos, and those that are kept on this machine alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from engines.manifest import Manifest
from streamer.avatar.gallery import Gallery
from streamer.avatar.own import remove_avatar, rename_avatar
from streamer.core.limits import PhotoLimits
from streamer.inference.worker import InferenceWorker
from streamer.server.photos.retention import expire


class Photos(Protocol):
    """Keeps them. The page's gallery is the caller's to change, but for what changes elsewhere."""

    limits: PhotoLimits

    def begin(self, gallery: Gallery) -> Gallery:
        """What of the faces on this machine visitors may be shown when the server begins."""

    def takes_of(self, owner: str) -> bool:
        """Whether somebody's photos are kept; "" is whoever runs the server."""

    async def keep(self, name: str, owner: str) -> None:
        """Take care of a face that was just made. Raises BundleError, StoreError."""

    async def rename(self, name: str, owner: str, title: str) -> None:
        """Call it something else. Raises BundleError, ConfigError, StoreError."""

    async def remove(self, name: str, owner: str) -> None:
        """The end of it. Raises BundleError, StoreError."""

    async def expire(self, days: float) -> None:
        """Remove what is older than so many days, for ever."""

    def told(self, owner: str) -> Mapping[str, str]:
        """Headers of an answer by which something of this owner's has changed."""


class OwnPhotos:
    """Those of one machine: its disk is all there is."""

    limits = PhotoLimits()

    def __init__(self, manifest: Manifest, worker: InferenceWorker, gallery: Callable[[], Gallery | None]) -> None:
        self._manifest, self._worker, self._gallery = manifest, worker, gallery

    def begin(self, gallery: Gallery) -> Gallery:
        """All of them."""
        return gallery

    def takes_of(self, owner: str) -> bool:
        """Everybody's."""
        return True

    async def keep(self, name: str, owner: str) -> None:
        """It is on the disk."""

    async def rename(self, name: str, owner: str, title: str) -> None:
        """Write its new title. Raises BundleError, ConfigError."""
        await asyncio.to_thread(rename_avatar, self._manifest, name, title)

    async def remove(self, name: str, owner: str) -> None:
        """Remove its folder. Raises BundleError."""
        await asyncio.to_thread(remove_avatar, self._manifest, name)

    async def expire(self, days: float) -> None:
        """See `retention`."""
        await expire(self._manifest, self._worker, self._gallery, days)

    def told(self, owner: str) -> Mapping[str, str]:
        """Nobody else has to know."""
        return {}
