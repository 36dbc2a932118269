"""Avatars that all machines of a cluster have: in a shared folder or an S3-compatible store, by `fsspec`.

    URL/objects/SHA256.tar         a bundle; its name is the digest of its bytes
    URL/avatars/FAMILY/NAME        the digest of the bundle that is called so

A machine fetches a bundle once, checks its digest, and keeps so many bytes of bundles that are not in use any more.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import tarfile
import uuid
from pathlib import Path

import fsspec

from engines.manifest import Manifest
from streamer.avatar.catalogue import NAME_PATTERN, find_avatar
from streamer.avatar.own import is_own
from streamer.core.errors import BundleError, ConfigError

MOST_BYTES = 256 << 20  # of one bundle; a face has 1 to 5 MB
MOST_AVATARS = 1_000
KEPT_BYTES = 2 << 30  # of bundles on a machine that nothing leads to
DIGEST = re.compile(r"[0-9a-f]{64}")


class Shelf:
    """The avatars at `url`, of one family."""

    def __init__(self, url: str, family: str) -> None:
        """Raises ConfigError for an address that fsspec does not know."""
        self._url, self._family = url.rstrip("/"), family
        try:
            self._store, self._root = fsspec.core.url_to_fs(self._url)
        except (ImportError, ValueError) as error:
            raise ConfigError(f"{url}: {error}") from None

    def put(self, manifest: Manifest, name: str) -> str:
        """Put an avatar of this machine on the shelf; return its digest. Raises BundleError, ConfigError."""
        info = find_avatar(manifest, name)
        if not is_own(info):
            raise ConfigError(f"{info.name} comes with the engines, so that every machine has it")
        packed = pack(info.folder)
        digest = hashlib.sha256(packed).hexdigest()
        try:
            if not self._store.exists(self._object(digest)):
                self._write(self._object(digest), packed)
            self._write(f"{self._root}/avatars/{self._family}/{info.name}", digest.encode())
        except OSError as error:
            raise ConfigError(f"{self._url}: cannot be written ({error})") from None
        return digest

    def names(self) -> dict[str, str]:
        """The digest of each avatar there is. Raises ConfigError."""
        folder = f"{self._root}/avatars/{self._family}"
        try:
            if not self._store.exists(folder):
                return {}
            paths = [str(path) for path in self._store.ls(folder, detail=False)][:MOST_AVATARS]
            found = {path.rpartition("/")[2]: self._store.cat_file(path, end=64).decode() for path in paths}
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self._url}: cannot be read ({error})") from None
        return {name: key for name, key in found.items() if NAME_PATTERN.fullmatch(name) and DIGEST.fullmatch(key)}

    def fetch(self, home: Path, kept_bytes: int = KEPT_BYTES) -> list[str]:
        """Have all of the shelf's avatars in the user's folder `home`; return their names.

        What is there is not fetched again, whoever of this machine fetched it. A damaged bundle is left out.

        Raises:
            ConfigError: the shelf cannot be read.
        """
        names = self.names()
        bundles, avatars = home / "bundles", home / "avatars"
        for folder in (bundles, avatars):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        have = [name for name, digest in names.items() if self._have(bundles / digest, digest)]
        for name in have:
            _point(avatars / name, bundles / names[name])
        for link in avatars.iterdir():
            if link.is_symlink() and link.name not in have:
                link.unlink(missing_ok=True)
        _forget(bundles, {names[name] for name in have}, kept_bytes)
        return sorted(have)

    def _have(self, folder: Path, digest: str) -> bool:
        if folder.is_dir():
            os.utime(folder)
            return True
        path = self._object(digest)
        try:
            if self._store.size(path) > MOST_BYTES:
                return False
            packed = self._store.cat_file(path)
        except OSError as error:
            raise ConfigError(f"{self._url}: cannot be read ({error})") from None
        if hashlib.sha256(packed).hexdigest() != digest:
            return False
        return unpack(packed, folder)

    def _object(self, digest: str) -> str:
        return f"{self._root}/objects/{digest}.tar"

    def _write(self, path: str, data: bytes) -> None:
        self._store.makedirs(path.rpartition("/")[0], exist_ok=True)
        self._store.pipe_file(path, data)


def pack(folder: Path) -> bytes:
    """A bundle's files as a tar archive that depends on nothing but them. Raises BundleError when it is too large."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(path for path in folder.iterdir() if path.is_file()):
            entry = tarfile.TarInfo(path.name)
            entry.size = path.stat().st_size
            with path.open("rb") as file:
                archive.addfile(entry, file)
            if buffer.tell() > MOST_BYTES:
                raise BundleError(f"{folder}: more than the {MOST_BYTES >> 20} MiB that a shelf takes")
    return buffer.getvalue()


def unpack(packed: bytes, folder: Path) -> bool:
    """Make the folder of a bundle, whole or not at all; return whether it is there.

    Only plain files in no folder are taken, of which each is at most as large as the archive.
    """
    partial = folder.with_name(f".{uuid.uuid4().hex}")
    partial.mkdir(mode=0o700)
    try:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            for entry in archive:
                file = archive.extractfile(entry) if entry.isreg() and "/" not in entry.name else None
                if file is None or entry.name.startswith("."):
                    return False
                (partial / entry.name).write_bytes(file.read())
        partial.rename(folder)
    except (tarfile.TarError, OSError):
        return folder.is_dir()  # another worker of this machine was faster
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return True


def _point(link: Path, folder: Path) -> None:
    """Have `link` lead to the folder; an avatar of the machine's own with that name stays."""
    if link.exists() and not link.is_symlink():
        return
    partial = link.with_name(f".{uuid.uuid4().hex}")
    partial.symlink_to(folder.resolve(), target_is_directory=True)
    partial.replace(link)


def _forget(bundles: Path, used: set[str], kept_bytes: int) -> None:
    """Remove bundles that nothing leads to, those used longest ago first, until so many bytes of them are left."""
    idle = [path for path in bundles.iterdir() if path.name not in used and not path.name.startswith(".")]
    sizes = {path: sum(file.stat().st_size for file in path.iterdir()) for path in idle}
    for path in sorted(idle, key=lambda path: float(path.stat().st_mtime)):
        if sum(sizes.values()) <= kept_bytes:
            return
        shutil.rmtree(path, ignore_errors=True)
        del sizes[path]
