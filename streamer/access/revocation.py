"""Revocation list: tokens revoked before they expire, in a file that running servers check once a second.

The file has one line of JSON for each token. Lines are appended, so two programs that write at once lose no entries.
Expired entries are ignored, and removed when the file grows long. The list of minted tokens has the same format. Both
lists hold only the token's id (`jti`, RFC 7519, 4.1.7), never the token itself.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from engines.files import PRIVATE_FILE, private_folder, write_bytes
from streamer.access.tokens import LEEWAY_S
from streamer.core.aio import Clock, MonotonicClock
from streamer.core.errors import ConfigError

REVOKED, MINTED = "tokens-revoked", "tokens-minted"  # files in the user's data folder
MOST_BYTES = 1 << 20  # of a list file: about 8,000 tokens
LOOK_S = 1.0  # between two checks of the file

audit = logging.getLogger("streamer.audit")
logger = logging.getLogger(__name__)


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One token. expires: Unix seconds; after that the token is invalid whether it is listed or not."""

    id: str
    expires: float
    owner: str = ""
    scopes: tuple[str, ...] = ()


def read(path: Path, now: float) -> dict[str, Entry]:
    """Return the unexpired tokens of a list, by id; empty if the file does not exist. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise ConfigError(
                f"{path}: more than {MOST_BYTES >> 20} MiB of tokens; another secret ends all of its tokens"
            )
        entries = msgspec.json.Decoder(Entry).decode_lines(data)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is no list of tokens ({error}); mend or remove it") from None
    return {entry.id: entry for entry in entries if entry.expires + LEEWAY_S > now}


def add(path: Path, entries: Iterable[Entry]) -> None:
    """Append tokens to a list file that only the user can read. Raises ConfigError."""
    lines = b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)
    try:
        private_folder(path.parent)
        if path.exists() and path.stat().st_size + len(lines) > MOST_BYTES // 2:
            kept = read(path, time.time()).values()
            write_bytes(path, b"".join(msgspec.json.encode(entry) + b"\n" for entry in kept), private=True)
            if path.stat().st_size + len(lines) > MOST_BYTES:
                raise ConfigError(f"{path}: is full; another secret ends all of its tokens (docs/deploy.md)")
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, PRIVATE_FILE)
        with os.fdopen(descriptor, "ab") as file:
            file.write(lines)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror})") from None


class Revocations:
    """The revocation list of a running server. If the file cannot be read, that is logged and the last list is kept."""

    def __init__(self, path: Path, clock: Clock | None = None, now: Callable[[], float] = time.time) -> None:
        """now: Unix seconds."""
        self._path = path
        self._clock = clock or MonotonicClock()
        self._now = now
        self._looked = float("-inf")
        self._stamp: tuple[int, int, int] | None = None
        self._ids: frozenset[str] = frozenset()

    def hold(self, token: str) -> bool:
        """Return whether the token with this id is revoked."""
        if self._clock.now() - self._looked >= LOOK_S:
            self._looked = self._clock.now()
            self._look()
        return token in self._ids

    async def until(self, token: str) -> None:
        """Wait until the token is revoked."""
        while not self.hold(token):
            await self._clock.sleep_until(self._clock.now() + LOOK_S)

    def _look(self) -> None:
        try:
            found = self._path.stat()
            stamp = found.st_mtime_ns, found.st_size, found.st_ino
        except FileNotFoundError:
            stamp = None
        except OSError as error:
            logger.error("%s: cannot be read (%s); the revoked tokens of before stay so", self._path, error.strerror)
            return
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            ids = frozenset(read(self._path, self._now()))
        except ConfigError as error:
            logger.error("%s; the revoked tokens of before stay so", error)
            return
        for token in sorted(ids - self._ids):
            audit.info("token %s is revoked", token)
        self._ids = ids
