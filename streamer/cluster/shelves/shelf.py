"""Avatars for all machines of a cluster, published by its operator.

    URL/objects/SHA256.tar         a bundle; its name is the digest of its bytes
    URL/avatars/FAMILY/NAME        the digest of the bundle of this avatar

A machine fetches a bundle once, checks its digest, and keeps up to KEPT_BYTES of bundles that are no longer in use.
Photos of visitors are stored beside them (`photo_shelf`).
"""

from __future__ import annotations

import os
from pathlib import Path

from engines.manifest import Manifest
from streamer.avatar.catalogue import NAME_PATTERN, find_avatar
from streamer.avatar.own import is_own
from streamer.cluster.shelves.bundles import DIGEST, MOST_BYTES, digest_of, forget, leads_to, pack, point, unpack
from streamer.cluster.shelves.store import Store
from streamer.core.errors import ConfigError

MOST_AVATARS = 1_000
KEPT_BYTES = 2 << 30  # of unused bundles on a machine


class Shelf:
    """The avatars at `url`, of one family. All methods raise StoreError when the store fails."""

    def __init__(self, url: str, family: str) -> None:
        """Raises ConfigError for an address that fsspec does not know."""
        self._store, self._family = Store(url), family

    def check(self) -> None:
        """Check that the shelf can be read."""
        self._store.check()

    def put(self, manifest: Manifest, name: str) -> str:
        """Publish an avatar of this machine on the shelf; return its digest. Raises BundleError, ConfigError."""
        info = find_avatar(manifest, name)
        if not is_own(info):
            raise ConfigError(f"{info.name} comes with the engines, so that every machine has it")
        packed = pack(info.folder)
        digest = digest_of(packed)
        if not self._store.has(_object(digest)):
            self._store.write(_object(digest), packed)
        self._store.write(f"avatars/{self._family}/{info.name}", digest.encode())
        return digest

    def names(self) -> dict[str, str]:
        """Return the digest of each published avatar, by name."""
        folder = f"avatars/{self._family}"
        names = [name for name in self._store.names(folder) if NAME_PATTERN.fullmatch(name)]
        found = {name: self._store.read(f"{folder}/{name}", 64) or b"" for name in names[:MOST_AVATARS]}
        read = {name: data.decode(errors="replace") for name, data in found.items()}
        return {name: digest for name, digest in read.items() if DIGEST.fullmatch(digest)}

    def fetch(self, home: Path, kept_bytes: int = KEPT_BYTES) -> list[str]:
        """Fetch all avatars of the shelf into the user's folder `home`; return their names.

        A bundle that is already on this machine is not fetched again. A damaged bundle is left out.
        """
        names = self.names()
        bundles, avatars = home / "bundles", home / "avatars"
        for folder in (bundles, avatars):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        have = [name for name, digest in names.items() if self._have(bundles / digest, digest)]
        for name in have:
            point(avatars / name, bundles / names[name])
        for link in avatars.iterdir():
            target = leads_to(link)
            if target is not None and target.parent == bundles.resolve() and link.name not in have:
                link.unlink(missing_ok=True)
        forget(bundles, {names[name] for name in have}, kept_bytes)
        return sorted(have)

    def _have(self, folder: Path, digest: str) -> bool:
        if folder.is_dir():
            os.utime(folder)
            return True
        packed = self._store.read(_object(digest), MOST_BYTES)
        return packed is not None and digest_of(packed) == digest and unpack(packed, folder)


def _object(digest: str) -> str:
    return f"objects/{digest}.tar"
