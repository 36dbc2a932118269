"""Avatars made from visitors' photos, shared by all machines of a cluster.

    URL/visitors/FAMILY/VISITOR/NAME.MADE.SHA256.tar

VISITOR is a digest of the owner's name, MADE the time of the upload (Unix seconds), SHA256 the digest of the file: one
listing gives all metadata, and after a removal no other entry refers to the photo. On a machine, a photo is a link in
the user's avatars folder to an unpacked bundle, shared by all workers there.
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
MOST_SEEN = 50  # visitors whose photos are shown to a caller with access to all photos
KEPT_BYTES = 1 << 30  # of bundles on a machine
FRESH_S = 60.0  # since its last use, in which a bundle is not removed
DAY_S = 86_400.0
GONE = "the photo was removed meanwhile"
_NAME = re.compile(r"([a-z0-9][a-z0-9_-]{0,39})\.(\d{1,12})\.([0-9a-f]{64})\.tar")


@dataclass(frozen=True)
class _Photo:
    """One entry of the listing. visitor: digest of the owner's name."""

    visitor: str
    name: str
    made: int
    digest: str

    @property
    def path(self) -> str:
        """Path relative to the family's folder."""
        return f"{self.visitor}/{self.name}.{self.made}.{self.digest}.tar"


class PhotoShelf:
    """A `shared_photos.PhotoStore` in a `Store`. home: the user's folder on this machine."""

    def __init__(self, url: str, manifest: Manifest, home: Path, now: Callable[[], float] = time.time) -> None:
        """Raises ConfigError for an address that fsspec does not know."""
        self._store = Store(url)
        self._manifest = manifest
        self._folder = f"visitors/{manifest.family}"
        self._bundles, self._avatars = home / "visitors", home / "avatars"
        self._now = now

    def visitor(self, owner: str) -> str:
        """Return the folder name for an owner's photos: a digest, because an owner's name may not be a valid path."""
        return hashlib.blake2b(owner.encode(), digest_size=16, person=b"visitor").hexdigest()

    def visitors(self) -> list[str]:
        """Return the visitors with the newest photos. Raises StoreError."""
        newest = sorted(self._listed(), key=lambda photo: -photo.made)
        return list(dict.fromkeys(photo.visitor for photo in newest))[:MOST_SEEN]

    def fetch(self, visitor: str) -> dict[str, str]:
        """Fetch all photos of a visitor to this machine; return the version of each, by name. Raises StoreError."""
        newest = sorted(self._listed(visitor), key=lambda photo: (photo.made, photo.digest))[-MOST_EACH:]
        return {photo.name: photo.digest for photo in newest if self._have(photo)}

    def put(self, name: str) -> str:
        """Upload a face that was just made here; return its version.

        Raises:
            BundleError: the face does not exist, is damaged or too large.
            StoreError: the store failed; the face is then removed from this machine, too.
        """
        info = find_avatar(self._manifest, name)
        packed = pack(info.folder)
        photo = _Photo(self.visitor(info.owner), name, int(self._now()), digest_of(packed))
        try:
            self._store.write(f"{self._folder}/{photo.path}", packed)
        finally:
            shutil.rmtree(info.folder, ignore_errors=True)  # a link takes its place: one name is one face
        self._unpack(packed, photo)
        return photo.digest

    def rename(self, name: str, title: str) -> str:
        """Change a face's title on all machines; return its new version.

        Raises:
            BundleError, ConfigError, StoreError: the face is gone, the title is not valid, or the store fails.
        """
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
        """Remove a face from the store and this machine. Raises BundleError, StoreError."""
        info = find_avatar(self._manifest, name)
        for photo in self._find(self.visitor(info.owner), name):
            self._store.remove(f"{self._folder}/{photo.path}")
        self.let_go(name)

    def expire(self, days: float) -> set[str]:
        """Remove photos older than `days` from the store, and local copies of removed photos; return the names left.

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
        """Remove the local copy of a face."""
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
        """Return a photo's entries: more than one if it was renamed twice at once. Raises BundleError."""
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
        """Point a name's link to its bundle, and remove the bundle that it pointed to before."""
        before = leads_to(self._avatars / name)
        point(self._avatars / name, folder)
        if before is not None and before.parent == self._bundles.resolve() and before != folder.resolve():
            shutil.rmtree(before, ignore_errors=True)

    def _packed(self, info: AvatarInfo) -> bytes:
        """Pack a copy of a bundle with the metadata of `info`; the original stays unchanged."""
        with tempfile.TemporaryDirectory(prefix="avatar-") as room:
            copy = shutil.copytree(info.folder, Path(room) / info.name)
            try:
                write_info(replace(info, folder=copy), self._manifest.family)
            except OSError as error:
                raise StoreError(f"{copy}: cannot be written ({error.strerror})") from None
            return pack(copy)

    def _links(self) -> set[str]:
        """Return the names of visitors' faces on this machine, without fresh ones: a listing may predate them."""
        own, fresh = self._bundles.resolve(), self._fresh()
        links = self._avatars.iterdir() if self._avatars.is_dir() else ()
        found = {link.name: leads_to(link) for link in links}
        return {name for name, to in found.items() if to is not None and to.parent == own and to.name not in fresh}

    def _fresh(self) -> set[str]:
        """Return the names of bundles used within the last FRESH_S seconds."""
        folders = self._bundles.iterdir() if self._bundles.is_dir() else ()
        return {folder.name for folder in folders if self._now() - folder.stat().st_mtime < FRESH_S}


def _photos(paths: Iterable[str]) -> Iterable[_Photo]:
    """Parse paths relative to the family's folder; skip those that are not photos."""
    for path in paths:
        visitor, _, file = path.rpartition("/")
        if (found := _NAME.fullmatch(file)) is not None and "/" not in visitor:
            yield _Photo(visitor, found[1], int(found[2]), found[3])
