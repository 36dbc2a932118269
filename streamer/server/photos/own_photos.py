"""Interface to the storage of visitors' avatars, and the storage on this machine's disk."""

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
    """Storage of visitors' avatars. The caller updates the gallery, except for changes made by other servers."""

    limits: PhotoLimits

    def begin(self, gallery: Gallery) -> Gallery:
        """Return the avatars of this machine's gallery to show when the server starts."""

    def takes_of(self, owner: str) -> bool:
        """Return whether photos of this owner are accepted; "" is the server's operator."""

    async def keep(self, name: str, owner: str) -> None:
        """Store a newly created avatar. Raises BundleError, StoreError."""

    async def rename(self, name: str, owner: str, title: str) -> None:
        """Change an avatar's title. Raises BundleError, ConfigError, StoreError."""

    async def remove(self, name: str, owner: str) -> None:
        """Remove an avatar. Raises BundleError, StoreError."""

    async def expire(self, days: float) -> None:
        """Remove avatars older than this many days, periodically, until cancelled."""

    def told(self, owner: str) -> Mapping[str, str]:
        """Return extra headers for the response to a request that changed an avatar of this owner."""


class OwnPhotos:
    """Storage on this machine's disk only."""

    limits = PhotoLimits()

    def __init__(self, manifest: Manifest, worker: InferenceWorker, gallery: Callable[[], Gallery | None]) -> None:
        self._manifest, self._worker, self._gallery = manifest, worker, gallery

    def begin(self, gallery: Gallery) -> Gallery:
        """Return the whole gallery."""
        return gallery

    def takes_of(self, owner: str) -> bool:
        """Return True: photos of every owner are accepted."""
        return True

    async def keep(self, name: str, owner: str) -> None:
        """Do nothing: the avatar is on the disk already."""

    async def rename(self, name: str, owner: str, title: str) -> None:
        """Write the new title. Raises BundleError, ConfigError."""
        await asyncio.to_thread(rename_avatar, self._manifest, name, title)

    async def remove(self, name: str, owner: str) -> None:
        """Remove the avatar's folder. Raises BundleError."""
        await asyncio.to_thread(remove_avatar, self._manifest, name)

    async def expire(self, days: float) -> None:
        """Remove expired avatars periodically; see `retention`."""
        await expire(self._manifest, self._worker, self._gallery, days)

    def told(self, owner: str) -> Mapping[str, str]:
        """Return no headers: no other server needs to be notified."""
        return {}
