"""Creation of avatars from uploaded photos while the server runs.

A photo is an untrusted file. Its size is limited while it is uploaded (several uploads may run at once); a child
process (`photo.child`) decodes it, one photo at a time, with a timeout. This process never decodes it.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
import secrets
import sys
import tempfile
from collections.abc import AsyncIterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from engines.manifest import Manifest
from streamer.avatar.catalogue import list_avatars
from streamer.core.aio import MonotonicClock
from streamer.core.errors import BundleError, PhotoError
from streamer.core.limits import PhotoLimits
from streamer.core.names import plain_name
from streamer.core.system.priority import stand_back
from streamer.photo.messages import Answer, MakeAvatar, Refused
from streamer.server.arrivals import Arrivals

NAME = "photo"  # name of an avatar whose title has no plain letters; then photo-2, ...
BUSY = "another photo is being worked on; try again in a moment"
LONGEST_TITLE = 60  # characters; the same limit as in `avatar prepare`
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class NewAvatar:
    """A new avatar: its name, and remarks about the photo."""

    name: str
    notes: tuple[str, ...]


class ChooseFaceError(PhotoError):
    """The photo has several faces and the sender must choose one. `count`: number of faces."""

    def __init__(self, words: str, count: int) -> None:
        super().__init__(words)
        self.count = count


class PhotoDesk:
    """Makes avatars of photos for one family, one at a time."""

    def __init__(self, manifest: Manifest, limits: PhotoLimits) -> None:
        self._manifest = manifest
        self._limits = limits
        self._busy = asyncio.Lock()
        self._arrivals = Arrivals(MonotonicClock())

    @property
    def busy(self) -> bool:
        """Whether a photo is being processed."""
        return self._busy.locked()

    async def make(
        self, photo: AsyncIterable[bytes], title: str, face: int | None = None, owner: str = ""
    ) -> NewAvatar:
        """Receive an image file and make an avatar of it.

        title: the avatar's title; it is shortened to printable text. face: which of several, counted from the left,
        from 1. owner: the visitor that the avatar belongs to; if given, its name is random, so it reveals nothing of
        other visitors' titles.

        Raises:
            ChooseFaceError: the photo has several faces, and none was chosen.
            PhotoError: the upload is too large or too slow, or no avatar can be made of it. The message is for the
                sender.
            BundleError: another photo is being processed, there are too many avatars, or the disk cannot store another.
        """
        with tempfile.TemporaryDirectory(prefix="avatar-") as folder:
            path = Path(folder) / "photo"
            await self._save(photo, path)
            if self.busy:
                raise BundleError(BUSY)
            async with self._busy:
                known = list_avatars(self._manifest)
                if len(known) >= self._limits.avatars:
                    raise BundleError("there are as many avatars as are kept; remove some first")
                title = plain_title(title)
                name = next(name for name in _names(title, owner) if name not in known)
                return await self._prepare(path, name, title or _spoken(name, owner), face, owner)

    async def _save(self, photo: AsyncIterable[bytes], path: Path) -> None:
        size = 0
        try:
            async with self._arrivals.one(self._limits.arrive_s) as arrival:
                with path.open("wb") as file:
                    async for piece in photo:
                        size += len(piece)
                        arrival.bytes = size
                        if size > self._limits.bytes:
                            raise PhotoError(f"the photo is larger than the {self._limits.bytes >> 20} MiB taken")
                        file.write(piece)
        except TimeoutError:
            raise PhotoError("the photo did not arrive in time") from None
        except OSError as error:
            raise BundleError(f"the photo cannot be kept ({error.strerror})") from None
        if not size:
            raise PhotoError("an empty file, expected a picture")

    async def _prepare(self, path: Path, name: str, title: str, face: int | None, owner: str) -> NewAvatar:
        request = MakeAvatar(str(path), name, title, str(self._manifest.folder), face=face, owner=owner)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "streamer.photo.child"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C must reach the server only
        )
        stand_back(process.pid)  # conversations have priority
        try:
            async with asyncio.timeout(self._limits.make_s):
                answer, log = await process.communicate(msgspec.json.encode(request))
        except TimeoutError:
            raise PhotoError(f"no face came out of the photo within {self._limits.make_s:.0f} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return NewAvatar(name, notes_of(answer, log))


def notes_of(answer: bytes, log: bytes) -> tuple[str, ...]:
    """Read the remarks about the photo from the child process's answer.

    Raises:
        ChooseFaceError: the photo has several faces.
        PhotoError: the child refused the photo, or exited without an answer.
    """
    try:
        found: Answer = msgspec.json.decode(answer, type=Answer)
    except msgspec.DecodeError:
        logger.error("a process that made an avatar ended without an answer: %s", log.decode(errors="replace").strip())
        raise PhotoError("the photo cannot be used: its decoder ended unexpectedly") from None
    if isinstance(found, Refused):
        raise PhotoError(found.reason) if found.faces is None else ChooseFaceError(found.reason, found.faces)
    return found.notes


def plain_title(text: str) -> str:
    """Convert a photo's title or file name to one short printable line, without the file extension."""
    stem = re.sub(r"\.[A-Za-z0-9]{2,5}$", "", text)
    return " ".join("".join(letter if letter.isprintable() else " " for letter in stem).split())[:LONGEST_TITLE]


def _names(title: str, owner: str) -> Iterator[str]:
    """Generate candidate names: from the title, or NAME if it has no plain letters; random ones for a visitor."""
    if owner:
        return (f"{NAME}-{secrets.token_hex(8)}" for _ in itertools.count())
    first = plain_name(title)[:36].rstrip("-_") or NAME
    return itertools.chain([first], (f"{first}-{number}" for number in itertools.count(2)))


def _spoken(name: str, owner: str) -> str:
    """Return a title for a photo without one."""
    return NAME.title() if owner else name.replace("-", " ").title()
