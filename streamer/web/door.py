"""Takes connections for an aiohttp server: as many as there is room for, as fast as they cost little, as long as asked.

aiohttp waits without end for a request that was begun, and takes connections until the process has no file descriptors
left, of which calls need some too. Here the number is limited, for each address and in all. A newcomer that finds no
room takes the place of the connection that has waited longest without a request: one that holds connections open keeps
nobody out, as an honest request is there within milliseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from streamer.core.aio import Clock, Tasks
from streamer.web.reading import Measured, ReadingTime
from streamer.web.throttle import Throttle, is_local, network_of

logger = logging.getLogger(__name__)

LOOK_S = 0.5  # between two looks at what has waited too long
MOST_GREETINGS = 64  # TLS handshakes at a time; each is over within `header_s`
AGAIN_S = 0.2  # after an accept that failed
LONGEST = frozenset(
    {"/speech", "/control", "/numbers", "/say"}
)  # ends of paths whose requests last as long as a session


@dataclass(frozen=True)
class DoorLimits:
    """Connections, seconds, and connections a second (after so many at once)."""

    connections: int = 256
    connections_each: int = 32  # of one address that is not this machine's
    rate: tuple[float, int] = (100.0, 200)  # an accepted connection costs 0.2 ms
    header_s: float = 10.0  # from the connection to the first request's being whole
    body_s: float = 1.5  # for a request's body to be whole; then its connection is kept only while there is room
    idle_s: float = 30.0  # from an answer to the next request, or for an answer to be read
    request_s: float = 180.0  # an answer to a photo takes longest


class _Connection:
    def __init__(self, transport: asyncio.Transport, address: str, now: float) -> None:
        self.transport, self.address, self.since = transport, address, now
        self.served = False  # a request has come
        self.lasting = False
        self.busy = 0
        self.request: web.Request | None = None  # the one that is answered now

    def waits(self, body_s: float, now: float) -> bool:
        """Whether nothing is done for it: it has no request, or one whose body has not come in `body_s`."""
        late = self.request is not None and not self.request.content.is_eof() and now - self.since > body_s
        return not self.busy or late


class Door:
    """Accepts for `protocol`; `middleware` is to be among the application's, first of all."""

    def __init__(
        self,
        protocol: Callable[[], asyncio.BaseProtocol],
        limits: DoorLimits,
        clock: Clock,
        tls: ssl.SSLContext | None = None,
        is_proxy: Callable[[str], bool] = is_local,
    ) -> None:
        """tls: connections are encrypted. is_proxy: of an address, whether many may come from it."""
        self.refused = 0  # connections that found no room
        self.timed_out = 0
        self._protocol = protocol
        self._reading = ReadingTime()
        self._limits = limits
        self._clock = clock
        self._tls, self._is_proxy = tls, is_proxy
        self._greeting = Tasks()  # TLS handshakes: a slow one holds nobody up
        self._open: dict[int, _Connection] = {}
        self._throttle = Throttle(*limits.rate, clock)

    @property
    def connections(self) -> int:
        """How many there are now."""
        self._prune()
        return len(self._open) + len(self._greeting)

    async def serve(self, listener: socket.socket) -> None:
        """Accept connections until cancelled."""
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        watching = asyncio.create_task(self._watch())
        try:
            while True:
                await self._clock.sleep_until(self._clock.now() + self._throttle.take())
                try:
                    accepted, peer = await loop.sock_accept(listener)
                except OSError as error:
                    logger.warning("no connection can be accepted (%s)", error.strerror)
                    await asyncio.sleep(AGAIN_S)
                    continue
                await self._take(accepted, str(peer[0]) if isinstance(peer, tuple) else "")
        finally:
            watching.cancel()
            self._greeting.cancel()
            listener.close()

    def middleware(self) -> Middleware:
        """Return what notes that a connection has a request, and how long it lasts."""

        @web.middleware
        async def noting(request: web.Request, handler: Handler) -> web.StreamResponse:
            with self._noted(request):
                return await handler(request)

        return noting

    @contextlib.contextmanager
    def _noted(self, request: web.Request) -> Iterator[None]:
        found = self._open.get(id(request.transport))
        if found is None:
            yield
            return
        found.served, found.since = True, self._clock.now()
        found.busy += 1
        found.request = request
        found.lasting = any(request.path.endswith(end) for end in LONGEST)
        try:
            yield
        finally:
            found.busy -= 1
            found.request = None
            found.lasting = False
            found.since = self._clock.now()

    async def _take(self, accepted: socket.socket, address: str) -> None:
        self._prune()
        if not self._make_room(address):
            self.refused += 1
            accepted.close()
            return
        if self._tls is None:
            await self._greet(accepted, address)
        else:
            self._greeting.spawn(self._greet(accepted, address))

    async def _greet(self, accepted: socket.socket, address: str) -> None:
        patience = None if self._tls is None else self._limits.header_s
        loop = asyncio.get_running_loop()
        try:
            accepted.setblocking(False)
            transport, _ = await loop.connect_accepted_socket(
                self._measured, accepted, ssl=self._tls, ssl_handshake_timeout=patience
            )
        except OSError:  # TLS errors are OSErrors, too
            accepted.close()
            return
        self._open[id(transport)] = _Connection(transport, network_of(address), self._clock.now())

    def _measured(self) -> asyncio.BaseProtocol:
        inner = self._protocol()
        return Measured(inner, self._reading) if isinstance(inner, asyncio.Protocol) else inner

    def _make_room(self, address: str) -> bool:
        own = [known for known in self._open.values() if known.address == network_of(address)]
        if not self._is_proxy(address) and len(own) >= self._limits.connections_each:
            return self._drop_longest_waiting(own)
        if len(self._greeting) >= MOST_GREETINGS:
            return False
        return self.connections < self._limits.connections or self._drop_longest_waiting(list(self._open.values()))

    def _drop_longest_waiting(self, among: list[_Connection]) -> bool:
        now = self._clock.now()
        waiting = [known for known in among if known.waits(self._limits.body_s, now)]
        if not waiting:
            return False
        # Who never sent a request goes first.
        self._drop(min(waiting, key=lambda known: (known.served, known.since)))
        self.refused += 1
        return True

    def _drop(self, connection: _Connection) -> None:
        self._open.pop(id(connection.transport), None)
        connection.transport.abort()

    def _prune(self) -> None:
        for key in [key for key, known in self._open.items() if known.transport.is_closing()]:
            del self._open[key]

    async def _watch(self) -> None:
        while True:
            await self._clock.sleep_until(self._clock.now() + LOOK_S)
            self._prune()
            for known in list(self._open.values()):
                if not known.lasting and self._clock.now() - known.since > self._patience(known):
                    self.timed_out += 1
                    self._drop(known)

    def _patience(self, known: _Connection) -> float:
        if known.busy:
            return self._limits.request_s
        return self._limits.idle_s if known.served else self._limits.header_s
