"""Accepts connections for an aiohttp server, with limits on their number, their rate and their idle time.

aiohttp waits for ever for an incomplete request, and accepts connections until the process has no file descriptors
left, which calls need, too. Here the number is limited per address and in total. At the limit, a new connection evicts
the one that has waited longest without a request. So a client that holds idle connections open locks nobody out: an
honest request arrives within milliseconds.
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

LOOK_S = 0.5  # between two checks for timed-out connections
MOST_GREETINGS = 64  # TLS handshakes at a time; each ends within `header_s`
AGAIN_S = 0.2  # retry delay after a failed accept
LONGEST = frozenset(
    {"/speech", "/control", "/numbers", "/say"}
)  # path endings of requests that may last as long as a session


@dataclass(frozen=True)
class DoorLimits:
    """Limits: numbers of connections, timeouts in seconds, and the accept rate (connections a second, burst)."""

    connections: int = 256
    connections_each: int = 32  # per address, except this machine's
    rate: tuple[float, int] = (100.0, 200)  # accepting a connection costs 0.2 ms
    header_s: float = 10.0  # from the connection to the end of the first request's header
    body_s: float = 1.5  # to receive a request's body; a slower connection may be evicted when there is no room
    idle_s: float = 30.0  # from a response to the next request, or for the client to read the response
    request_s: float = 180.0  # to handle a request; a photo takes longest


class _Connection:
    def __init__(self, transport: asyncio.Transport, address: str, now: float) -> None:
        self.transport, self.address, self.since = transport, address, now
        self.served = False  # has had a request
        self.lasting = False
        self.busy = 0
        self.request: web.Request | None = None  # the one being handled

    def waits(self, body_s: float, now: float) -> bool:
        """Return whether it may be evicted: it has no request, or the request's body is not complete after `body_s`."""
        late = self.request is not None and not self.request.content.is_eof() and now - self.since > body_s
        return not self.busy or late


class Door:
    """Accepts connections for `protocol`. Install `middleware` as the application's first middleware."""

    def __init__(
        self,
        protocol: Callable[[], asyncio.BaseProtocol],
        limits: DoorLimits,
        clock: Clock,
        tls: ssl.SSLContext | None = None,
        is_proxy: Callable[[str], bool] = is_local,
    ) -> None:
        """tls: encrypts connections; None is plain HTTP. is_proxy: exempts an address from the per-address limit."""
        self.refused = 0  # connections rejected or evicted because there was no room
        self.timed_out = 0
        self._protocol = protocol
        self._reading = ReadingTime()
        self._limits = limits
        self._clock = clock
        self._tls, self._is_proxy = tls, is_proxy
        self._greeting = Tasks()  # TLS handshakes in tasks, so that a slow one blocks no others
        self._open: dict[int, _Connection] = {}
        self._throttle = Throttle(*limits.rate, clock)

    @property
    def connections(self) -> int:
        """The number of open connections, including those in a TLS handshake."""
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
        """Return the middleware that tracks which connections are handling a request, and since when."""

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
            transport, protocol = await loop.connect_accepted_socket(
                self._measured, accepted, ssl=self._tls, ssl_handshake_timeout=patience
            )
        except OSError:  # TLS errors are OSErrors, too
            accepted.close()
            return
        shown = protocol.shown if isinstance(protocol, Measured) else transport
        self._open[id(shown)] = _Connection(shown, network_of(address), self._clock.now())

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
        # Connections that never sent a request are evicted first.
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
