"""Faces of visitors' photos, where all machines of a cluster find them.

    URL/visitors/FAMILY/VISITOR/NAME.MADE.SHA256.tar

VISITOR is a digest of whose it is, MADE when the photo came (Unix seconds), SHA256 that of the file: one listing tells
all that there is to know, and nothing else leads to a photo that is removed. On a machine it is a link in the user's
avatars to an unpacked bundle, for all workers there.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from engines.manifest import Manifest
from streamer.avatar.catalogue import AvatarInfo, find_avatar, write_info
from streamer.avatar.own import retitled
from streamer.cluster.shelves.bundles import digest_of, forget, leads_to, pack, point, unpack
from streamer.cluster.shelves.store import Store
from streamer.core.errors import BundleError, StoreError
from streamer.server.photos.shared_photos import MOST_EACH

MOST_BYTES = 64 << 20  # of one photo's bundle
MOST_SEEN = 50  # visitors, by who sees all
KEPT_BYTES = 1 << 30  # of bundles on a machine
FRESH_S = 60.0
DAY_S = 86_400.0
GONE = "the photo was removed meanwhile"
_NAME = re.compile(r"([a-z0-9][a-z0-9_-]{0,39})\.(\d{1,12})\.([0-9a-f]{64})\.tar")


@dataclass(frozen=True)
class _Photo:
    """One of the listing. visitor: the digest of whose it is."""

    visitor: str
    name: str
    made: int
    digest: str

    @property
    def path(self) -> str:
        """Below the family's folder."""
        return f"{self.visitor}/{self.name}.{self.made}.{self.digest}.tar"


class PhotoShelf:
    """See `shared_photos.PhotoStore`. home: the user's folder on this machine."""

    def __init__(self, url: str, manifest: Manifest, home: Path, now: Callable[[], float] = time.time) -> None:
        """Raises ConfigError for an address that fsspec does not know."""
        self._store = Store(url)
        self._manifest = manifest
        self._folder = f"visitors/{manifest.family}"
        self._bundles, self._avatars = home / "visitors", home / "avatars"
        self._now = now

    def visitor(self, owner: str) -> str:
        """What the folder of an owner's photos is called: no owner's name can be a path."""
        return hashlib.blake2b(owner.encode(), digest_size=16, person=b"visitor").hexdigest()

    def visitors(self) -> list[str]:
        """Those whose photos are newest. Raises StoreError."""
        newest = sorted(self._listed(), key=lambda photo: -photo.made)
        return list(dict.fromkeys(photo.visitor for photo in newest))[:MOST_SEEN]

    def fetch(self, visitor: str) -> dict[str, str]:
        """Have all of a visitor's photos on this machine; the version of each, by name. Raises StoreError."""
        newest = sorted(self._listed(visitor), key=lambda photo: (photo.made, photo.digest))[-MOST_EACH:]
        return {photo.name: photo.digest for photo in newest if self._have(photo)}

    def put(self, name: str) -> str:
        """Share a face that was just made here; its version. Raises BundleError, StoreError; then it is gone here."""
        info = find_avatar(self._manifest, name)
        packed = pack(info.folder)
        photo = _Photo(self.visitor(info.owner), name, int(self._now()), digest_of(packed))
        try:
            self._store.write(f"{self._folder}/{photo.path}", packed)
        finally:
            shutil.rmtree(info.folder, ignore_errors=True)  # before its link: one name is one face
        self._unpack(packed, photo)
        return photo.digest

    def rename(self, name: str, title: str) -> str:
        """Call a face something else, everywhere; its new version. Raises BundleError, ConfigError, StoreError."""
        info = retitled(self._manifest, name, title)
        packed = self._packed(info)
        was = self._find(self.visitor(info.owner), name)
        photo = replace(was[-1], digest=digest_of(packed))
        if photo in was:
            return photo.digest
        self._store.write(f"{self._folder}/{photo.path}", packed)
        if not any(self._store.has(f"{self._folder}/{each.path}") for each in was):
            self._store.remove(f"{self._folder}/{photo.path}")
            raise BundleError(GONE)
        for each in was:
            self._store.remove(f"{self._folder}/{each.path}")
        self._unpack(packed, photo)
        return photo.digest

    def remove(self, name: str) -> None:
        """The end of a face, everywhere. Raises BundleError, StoreError."""
        info = find_avatar(self._manifest, name)
        for photo in self._find(self.visitor(info.owner), name):
            self._store.remove(f"{self._folder}/{photo.path}")
        self.let_go(name)

    def expire(self, days: float) -> set[str]:
        """Remove what is older than so many days, everywhere, and here what is not there; the names there are.

        Raises:
            StoreError: the store does not answer.
        """
        there = self._listed()
        over = [photo for photo in there if self._now() - photo.made > days * DAY_S]
        for photo in over:
            self._store.remove(f"{self._folder}/{photo.path}")
        left = {photo.name: photo.digest for photo in there if photo not in over}
        for name in self._links() - left.keys():
            self.let_go(name)
        if self._bundles.is_dir():
            forget(self._bundles, {*left.values(), *self._fresh()}, 0)
            forget(self._bundles, set(), KEPT_BYTES)
        return set(left)

    def let_go(self, name: str) -> None:
        """A face is not to be on this machine any more."""
        link = self._avatars / name
        folder = leads_to(link)
        if folder is not None and folder.parent == self._bundles.resolve():
            link.unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)

    def _listed(self, visitor: str = "") -> list[_Photo]:
        folder = f"{self._folder}/{visitor}".rstrip("/")
        paths = (f"{visitor}/{path}".lstrip("/") for path in self._store.names(folder))
        return list(_photos(paths))

    def _find(self, visitor: str, name: str) -> list[_Photo]:
        """A photo; more than one where it was given two names at once. Raises BundleError."""
        found = sorted((each for each in self._listed(visitor) if each.name == name), key=lambda each: each.digest)
        if not found:
            raise BundleError(GONE)
        return found

    def _have(self, photo: _Photo) -> bool:
        folder, link = self._bundles / photo.digest, self._avatars / photo.name
        if not folder.is_dir():
            packed = self._store.read(f"{self._folder}/{photo.path}", MOST_BYTES)
            return packed is not None and digest_of(packed) == photo.digest and self._unpack(packed, photo)
        os.utime(folder)
        if leads_to(link) != folder.resolve():
            self._lead(photo.name, folder)
        return True

    def _unpack(self, packed: bytes, photo: _Photo) -> bool:
        for folder in (self._bundles, self._avatars):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = self._bundles / photo.digest
        if not (folder.is_dir() or unpack(packed, folder)):
            return False
        self._lead(photo.name, folder)
        return True

    def _lead(self, name: str, folder: Path) -> None:
        """Have a name lead to its bundle; the one that it led to is not to stay."""
        before = leads_to(self._avatars / name)
        point(self._avatars / name, folder)
        if before is not None and before.parent == self._bundles.resolve() and before != folder.resolve():
            shutil.rmtree(before, ignore_errors=True)

    def _packed(self, info: AvatarInfo) -> bytes:
        """A bundle with what `info` says of it; the one that is there stays as it is."""
        with tempfile.TemporaryDirectory(prefix="avatar-") as room:
            copy = shutil.copytree(info.folder, Path(room) / info.name)
            try:
                write_info(replace(info, folder=copy), self._manifest.family)
            except OSError as error:
                raise StoreError(f"{copy}: cannot be written ({error.strerror})") from None
            return pack(copy)

    def _links(self) -> set[str]:
        """Names of the visitors' faces on this machine, but for those that have just come: the listing is older."""
        own, fresh = self._bundles.resolve(), self._fresh()
        links = self._avatars.iterdir() if self._avatars.is_dir() else ()
        found = {link.name: leads_to(link) for link in links}
        return {name for name, to in found.items() if to is not None and to.parent == own and to.name not in fresh}

    def _fresh(self) -> set[str]:
        """Bundles that were used a moment ago."""
        folders = self._bundles.iterdir() if self._bundles.is_dir() else ()
        return {folder.name for folder in folders if self._now() - folder.stat().st_mtime < FRESH_S}


def _photos(paths: Iterable[str]) -> Iterable[_Photo]:
    """Those of the paths below the family's folder that are photos."""
    for path in paths:
        visitor, _, file = path.rpartition("/")
        if (found := _NAME.fullmatch(file)) is not None and "/" not in visitor:
            yield _Photo(visitor, found[1], int(found[2]), found[3])
