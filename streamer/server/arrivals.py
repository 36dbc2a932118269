"""Large bodies that arrive, a few at a time: a slow one gives way where others wait, so that none holds its place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from streamer.core.aio import Clock
from streamer.core.errors import BundleError

MOST = 4
FIRST_S = 3.0  # for which each keeps its place


@dataclass
class Arrival:
    """bytes: that have come."""

    bytes: int
    since: float
    until: asyncio.Timeout


class Arrivals:
    """Those of one server."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._now: list[Arrival] = []

    @asynccontextmanager
    async def one(self, seconds: float) -> AsyncIterator[Arrival]:
        """A body's arrival, in the block.

        Raises:
            BundleError: there are too many.
            TimeoutError: it has taken so long, or its place went to another.
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
