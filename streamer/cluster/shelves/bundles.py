"""Avatar bundles as archives, and the folders to which they are unpacked, named by the digest of the archive.

A machine's avatars are links to such folders: all its workers see the same ones, and an update replaces one link.
"""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import tarfile
import uuid
from pathlib import Path

from streamer.core.errors import BundleError

MOST_BYTES = 256 << 20  # limit for one bundle; a face has 1 to 5 MB
DIGEST = re.compile(r"[0-9a-f]{64}")


def pack(folder: Path) -> bytes:
    """Pack a bundle's files as a reproducible tar archive. Raises BundleError when it is too large."""
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


def digest_of(packed: bytes) -> str:
    """Return the digest that names an archive."""
    return hashlib.sha256(packed).hexdigest()


def unpack(packed: bytes, folder: Path) -> bool:
    """Unpack a bundle into `folder` atomically; return whether the folder exists afterwards.

    Only plain files at the top level are accepted, so that each is at most as large as the archive.
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
        return folder.is_dir()  # another worker of this machine may have unpacked it first
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return True


def point(link: Path, folder: Path) -> None:
    """Point `link` to the folder atomically; a local avatar (not a link) of that name is kept."""
    if link.exists() and not link.is_symlink():
        return
    partial = link.with_name(f".{uuid.uuid4().hex}")
    partial.symlink_to(folder.resolve(), target_is_directory=True)
    partial.replace(link)


def leads_to(link: Path) -> Path | None:
    """Return the target of a link, whether it exists or not; None if `link` is not a link."""
    try:
        return link.readlink()
    except OSError:
        return None


def forget(bundles: Path, used: set[str], kept_bytes: int) -> None:
    """Evict bundles that are not in `used`, least recently used first, until at most `kept_bytes` of them are left."""
    idle = [path for path in bundles.iterdir() if path.name not in used and not path.name.startswith(".")]
    sizes = {path: sum(file.stat().st_size for file in path.iterdir()) for path in idle}
    for path in sorted(idle, key=lambda path: float(path.stat().st_mtime)):
        if sum(sizes.values()) <= kept_bytes:
            return
        shutil.rmtree(path, ignore_errors=True)
        del sizes[path]
