"""Limit on concurrent uploads of large bodies: when all slots are taken, a new upload evicts the slowest one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from streamer.core.aio import Clock
from streamer.core.errors import BundleError

MOST = 4
FIRST_S = 3.0  # an upload cannot be evicted before this


@dataclass
class Arrival:
    """An upload in progress. bytes: received so far."""

    bytes: int
    since: float
    until: asyncio.Timeout


class Arrivals:
    """The uploads of one server."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._now: list[Arrival] = []

    @asynccontextmanager
    async def one(self, seconds: float) -> AsyncIterator[Arrival]:
        """Hold an upload slot within the block; update the arrival's `bytes` there.

        Raises:
            BundleError: all slots are taken, and none can be freed yet.
            TimeoutError: the upload took longer than `seconds`, or was evicted.
        """
        if len(self._now) >= MOST:
            self._end_slowest()
        async with asyncio.timeout(seconds) as until:
            arrival = Arrival(0, self._clock.now(), until)
            self._now.append(arrival)
            try:
                yield arrival
            finally:
                if arrival in self._now:
                    self._now.remove(arrival)

    def _end_slowest(self) -> None:
        now = self._clock.now()
        older = [arrival for arrival in self._now if now - arrival.since >= FIRST_S]
        if not older:
            raise BundleError(f"{MOST} photos are arriving already; try again in a moment")
        slowest = min(older, key=lambda arrival: arrival.bytes / (now - arrival.since))
        self._now.remove(slowest)
        slowest.until.reschedule(asyncio.get_running_loop().time())
