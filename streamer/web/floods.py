"""Keeps whoever flooded a WebSocket from opening the next one at once: to begin a socket costs more than to end it."""

from __future__ import annotations

from collections import OrderedDict

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from streamer.core.aio import Clock
from streamer.web.throttle import MOST_ADDRESSES, Throttle, address_of

RATE, BURST = 0.2, 3  # floods a second, and at once, after which an address opens sockets again
TOO_MANY = "sockets of this address were flooded; try again in a moment\n"
FLOODED = web.RequestKey("flooded", bool)


class Floods:
    """Whose sockets were broken off, by address."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._addresses: OrderedDict[str, Throttle] = OrderedDict()

    def middleware(self) -> Middleware:
        """Refuse a flooder's next socket; a handler has set FLOODED in the request of one that it broke off."""

        @web.middleware
        async def watched(request: web.Request, handler: Handler) -> web.StreamResponse:
            """Raises HTTPTooManyRequests."""
            if request.headers.get(hdrs.UPGRADE, "").lower() != "websocket":
                return await handler(request)
            address = address_of(request)
            known = self._addresses.get(address)
            if known is not None and (wait_s := known.wait_s()):
                headers = {"Retry-After": str(int(wait_s) + 1), "Connection": "close"}
                raise web.HTTPTooManyRequests(text=TOO_MANY, headers=headers)
            try:
                return await handler(request)
            finally:
                if request.get(FLOODED):
                    self._note(address)

        return watched

    def _note(self, address: str) -> None:
        throttle = self._addresses.pop(address, None) or Throttle(RATE, BURST, self._clock)
        throttle.take()
        self._addresses[address] = throttle
        while len(self._addresses) > MOST_ADDRESSES:
            self._addresses.popitem(last=False)
