"""One HTTP exchange over a connection of its own, in bytes that no client library would send."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from random import Random
from urllib.parse import urlsplit

PATIENCE_S = 30.0  # for an answer; a turn takes 4 s where many ask
MOST_BYTES = 1 << 18
NO_ANSWER = 0
HARM = frozenset({500, 502, 504})  # statuses of a server that did not expect what it got


class HarmError(Exception):
    """The server did what it must never do."""


@dataclass(frozen=True)
class Target:
    """A server, and a session on it that is spoken into. tokens: those that are sent, by turns, if it asks for any."""

    url: str
    session: str = "session/none"
    watch: str = "whep/none"
    tokens: tuple[str, ...] = ()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        found = urlsplit(self.url)
        return found.hostname or "", found.port or 80

    def headers(self, random: Random) -> dict[str, str]:
        """Those of a caller, one of several addresses, as a proxy on the server's machine would name it."""
        found = {"Host": urlsplit(self.url).netloc}
        if self.tokens:
            found["Authorization"] = f"Bearer {random.choice(self.tokens)}"
            found["X-Forwarded-For"] = f"10.1.1.{random.randint(1, 4)}"
        return found


@dataclass(frozen=True)
class Answer:
    """Status (NO_ANSWER: closed without one) and headers, whose names are in small letters."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """Where what was made is, as a path without its first slash; "" where nothing was."""
        return self.headers.get("location", "").lstrip("/") if self.status == 201 else ""

    @property
    def turned_away(self) -> bool:
        """Whether it came too fast or found no room, so that nothing was tried."""
        return self.status in (429, 503)


def request_bytes(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """A request as it is sent."""
    told = {"Connection": "close", "Content-Length": str(len(body))} | headers
    lines = [f"{method} /{path} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items()), "", ""]
    return "\r\n".join(lines).encode(errors="surrogateescape") + body


async def send(target: Target, data: bytes, patience_s: float = PATIENCE_S) -> Answer:
    """Send bytes and read the answer. Raises HarmError, or TimeoutError where none comes in time."""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(patience_s):
            reader, writer = await asyncio.open_connection(*target.address, limit=MOST_BYTES)
            try:
                writer.write(data)
                return _read(await reader.readuntil(b"\r\n\r\n"))
            except asyncio.IncompleteReadError:
                return Answer(NO_ANSWER)
            finally:
                writer.close()
    return Answer(NO_ANSWER)


async def ask(target: Target, random: Random, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
    """A request whose head is as it should be, or nearly. Raises HarmError."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await send(target, request_bytes(method, path, target.headers(random) | named, body))


def _read(head: bytes) -> Answer:
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) < 2 or not words[1].isdigit():
        raise HarmError(f"no HTTP: {first[:80]!r}")
    answer = Answer(int(words[1]), {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in lines if line})
    if answer.status in HARM:
        raise HarmError(f"status {answer.status}")
    return answer
