"""What an attack is given: a server, for how long, and the means that several attacks share."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pylibsrtp
from aiortc import MediaStreamTrack

from streamer.webrtc.call import Call, bearer
from streamer.webrtc.private_parts import Transport
from tests.measure.mutated.canary import Voice

Send = Callable[[bytes], Awaitable[None]]


@dataclass
class Scene:
    """tried: what was done, by what came of it."""

    url: str  # ends with a slash
    token: str | None
    seconds: float
    tried: Counter[str] = field(default_factory=Counter)
    begun: float = field(default_factory=time.monotonic)

    @property
    def over(self) -> bool:
        """Whether it has lasted long enough."""
        return time.monotonic() - self.begun > self.seconds

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        found = urlsplit(self.url)
        return found.hostname or "", found.port or 80

    def request(self, method: str, path: str, *headers: str, body: bytes = b"", length: int | None = None) -> bytes:
        """A request's bytes, with the token. length: that which is announced."""
        size = len(body) if length is None else length
        own = [f"{name}: {value}" for name, value in bearer(self.token).items()]
        lines = [f"{method} /{path} HTTP/1.1", f"Host: {urlsplit(self.url).netloc}", *own, *headers]
        return "\r\n".join([*lines, *([f"Content-Length: {size}"] if size else []), "", ""]).encode() + body

    async def at_once(self, count: int, attack: Callable[[int], Awaitable[None]]) -> None:
        """So many attackers beside each other, each again and again; a connection that is lost counts, no more."""

        async def one(number: int) -> None:
            while not self.over:
                try:
                    await attack(number)
                except (OSError, TimeoutError, asyncio.IncompleteReadError, aiohttp.ClientError) as error:
                    self.tried[type(error).__name__] += 1
                    await asyncio.sleep(0.01)

        async with asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(one(number))

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection, broken off at the end."""
        reader, writer = await asyncio.open_connection(*self.address)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def answered(self, reader: asyncio.StreamReader, patience_s: float = 10.0) -> None:
        """Note the status of the next answer."""
        async with asyncio.timeout(patience_s):
            head = await reader.readuntil(b"\r\n\r\n")
        self.tried[head.split(b" ", 2)[1].decode()] += 1

    @asynccontextmanager
    async def call(self, query: str = "") -> AsyncIterator[Intruder]:
        """A session of the attacker's own, with the means to send what no library would."""
        call = Call(self.url, query, Voice(), _unread, self.token)
        async with call:
            intruder = Intruder(call)
            async with asyncio.timeout(15):
                while not intruder.received:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            yield intruder


class Intruder:
    """A peer in a session: what it sends is encrypted and sent as it is."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.received: list[bytes] = []
        self.transport = Transport(call.audio.receiver.transport)
        found: list[Send] = []

        def keep(send: Send) -> Send:
            found.append(send)
            return send

        self.transport.replace_send(keep)
        self.send = found[0]
        self.transport.filter_media(self._note, lambda data: b"")

    @property
    def path(self) -> str:
        """The session's, without its first slash."""
        return urlsplit(self.call.location).path.lstrip("/")

    async def flood(self, scene: Scene, packet: Callable[[int], bytes], rate: float) -> None:
        """So many packets a second, until the call has ended."""
        begun, number = time.monotonic(), 0
        while not scene.over and not self.call.ended.is_set():
            try:
                with contextlib.suppress(pylibsrtp.Error):  # that header cannot be encrypted
                    await self.send(packet(number))
            except (ConnectionError, OSError):
                break
            number += 1
            if number % 10 == 0:
                await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
        scene.tried["sent"] += number
        scene.tried["calls ended"] += self.call.ended.is_set()
        if not self.call.ended.is_set() and not scene.over:
            await asyncio.sleep(0.2)

    def _note(self, data: bytes) -> bool:
        if len(self.received) < 200:
            self.received.append(data)
        return False


Attack = Callable[[Scene], Coroutine[Any, Any, None]]


async def _unread(track: MediaStreamTrack) -> None:
    with contextlib.suppress(Exception):
        await track.recv()


def datagram_socket(address: tuple[str, int]) -> socket.socket:
    """A UDP socket that sends there and never waits."""
    found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    found.setblocking(False)
    found.connect(address)
    return found
