"""Refuses new WebSockets from an address that flooded earlier ones, as opening one costs more than closing it."""

from __future__ import annotations

from collections import OrderedDict

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from streamer.core.aio import Clock
from streamer.web.throttle import MOST_ADDRESSES, Throttle, address_of

RATE, BURST = 0.2, 3  # floods a second, and in a burst, that an address may cause before it is refused
TOO_MANY = "sockets of this address were flooded; try again in a moment\n"
FLOODED = web.RequestKey("flooded", bool)


class Floods:
    """Addresses whose WebSockets were aborted for flooding."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._addresses: OrderedDict[str, Throttle] = OrderedDict()

    def middleware(self) -> Middleware:
        """Return middleware that refuses WebSockets of flooding addresses.

        A handler that aborts a flooded socket sets FLOODED in its request.
        """

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
