"""Request rate limits: a caller over the rate waits for its turn, and is refused if the wait would be too long.

Delaying is friendlier than refusing, and more effective: a connection has one request at a time, so a client in a loop
gets no more turns than it has connections, while an immediate refusal would only make it retry. Turns are given in
order of arrival.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Iterable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from streamer.core.aio import Clock

MOST_ADDRESSES = 1024  # tracked; the least recently used is evicted first
TOO_FAST = "too many requests; try again in a moment\n"
PROXY_HEADER = "X-Forwarded-For"


class Throttle:
    """Allows `burst` requests at once and `rate` a second after that (generic cell rate algorithm)."""

    def __init__(self, rate: float, burst: int, clock: Clock) -> None:
        self._step = 1 / rate
        self._slack = (burst - 1) / rate
        self._clock = clock
        self._next = clock.now()  # time of the next turn at the steady rate

    def wait_s(self) -> float:
        """Return how long a request arriving now must wait."""
        now = self._clock.now()
        return max(0.0, max(self._next, now) - self._slack - now)

    def take(self) -> float:
        """Take the next turn and return the seconds until it comes."""
        wait_s = self.wait_s()
        self._next = max(self._next, self._clock.now()) + self._step
        return wait_s


class Throttles:
    """A rate limit for each address, and one for all together."""

    def __init__(self, each: tuple[float, int], total: tuple[float, int], patience_s: float, clock: Clock) -> None:
        """each, total: (requests a second, burst). patience_s: a request that would wait longer is refused."""
        self.refused = 0
        self._each = each
        self._total = Throttle(*total, clock)
        self._patience_s = patience_s
        self._clock = clock
        self._addresses: OrderedDict[str, Throttle] = OrderedDict()

    async def turn(self, address: str) -> None:
        """Wait for a turn.

        Raises:
            HTTPTooManyRequests: the wait would be too long.
        """
        own = self._of(address)
        if max(own.wait_s(), self._total.wait_s()) > self._patience_s:
            self.refused += 1
            raise web.HTTPTooManyRequests(text=TOO_FAST, headers={"Retry-After": "2", "Connection": "close"})
        wait_s = max(own.take(), self._total.take())
        if wait_s:
            await self._clock.sleep_until(self._clock.now() + wait_s)

    def _of(self, address: str) -> Throttle:
        found = self._addresses.pop(address, None) or Throttle(*self._each, self._clock)
        self._addresses[address] = found
        while len(self._addresses) > MOST_ADDRESSES:
            self._addresses.popitem(last=False)
        return found


def address_of(request: web.Request) -> str:
    """Return the client's address of a request; for IPv6 its /64 network.

    A proxy on this machine names its client last in X-Forwarded-For; from other addresses the header is ignored.
    """
    return network_of(forwarded_for(request) or request.remote or "")


def network_of(address: str) -> str:
    """Return the unit that an address is counted by: itself; for IPv6 its /64 network, which one machine may own."""
    try:
        known = ipaddress.ip_address(address.split("%")[0])
    except ValueError:
        return "unknown"
    if known.version == 6:
        if known.ipv4_mapped is not None:
            return str(known.ipv4_mapped)
        if not known.is_loopback:
            return str(ipaddress.ip_network((known, 64), strict=False))
    return str(known)


def forwarded_for(request: web.Request) -> str | None:
    """Return the client named by a proxy on this machine; None without such a proxy."""
    forwarded = request.headers.get(PROXY_HEADER)
    if not forwarded or not is_local(request.remote or ""):
        return None
    return forwarded.rsplit(",", 1)[-1].strip()


def is_local(address: str) -> bool:
    """Return whether this is the machine's usual loopback address, shared by several programs and perhaps a proxy."""
    return address in ("127.0.0.1", "::1", "::ffff:127.0.0.1", "")


def throttled(throttles: Throttles, exempt: Iterable[str] = ()) -> Middleware:
    """Return middleware that makes every request wait for its turn, except for the paths in `exempt`."""
    free = frozenset(exempt)

    @web.middleware
    async def paced(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in free:
            await throttles.turn(address_of(request))
        return await handler(request)

    return paced
