"""Session places: their total limit, the limit per address, and which sessions can be evicted for a new caller.

A place is held from the moment an offer is accepted, when all that is known of the caller is that it can send an offer.
So a caller that does not connect may keep its place for a short time only: after that it is evicted when another caller
needs a place and none is free. The same holds for a session for pushed speech without speech. A caller that talks keeps
its place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from streamer.core.aio import Clock
from streamer.core.errors import SessionError
from streamer.server.admission.waiting_line import WaitingLine
from streamer.web.throttle import is_local


class NoRoomError(SessionError):
    """No session can be opened now, but perhaps later. place: the caller's number in the waiting line, if in it."""

    def __init__(self, text: str, place: int | None = None) -> None:
        super().__init__(text)
        self.place = place


class Occupant(Protocol):
    """A session that holds a place."""

    def gives_way_at(self) -> float | None:
        """Return the time from which it may be evicted, or None if it is in use."""

    async def close(self, reason: str) -> None:
        """End the session."""


@dataclass
class _Place:
    address: str
    occupant: Occupant | None = None  # None: the session is being prepared


class Places:
    """At most `most()` places at a time; one address, except this machine's, may hold half of them, at least one."""

    def __init__(self, most: Callable[[], int], clock: Clock) -> None:
        self.given_way = 0
        self._most = most
        self._clock = clock
        self._taken: dict[str, _Place] = {}
        self.line = WaitingLine(clock)

    @property
    def free(self) -> int:
        """The number of free places."""
        return max(0, self._most() - len(self._taken))

    def check(self, address: str, until: float, ticket: str | None = None) -> None:
        """Raise NoRoomError if no place is free or will be by `until`, or the free places go to callers in line.

        ticket: if given, a refused caller is put in the waiting line.
        """
        try:
            ahead = self.line.ahead_of(ticket)
            if 0 < ahead >= self.free:
                raise NoRoomError(
                    f"{ahead} {'caller waits' if ahead == 1 else 'callers wait'} already; try again later"
                )
            if (among := self._in_the_way(address)) is not None:
                self._next(among, address, until)
        except NoRoomError as error:
            place = None if ticket is None else self.line.wait(ticket, address)
            if place is None:
                raise
            raise NoRoomError(f"all places are taken; you are number {place} in line", place) from error

    async def take(self, token: str, address: str, until: float) -> None:
        """Take a place; if none is free, wait until a session may be evicted and close it.

        Raises:
            NoRoomError: no place can be had by `until`.
        """
        while (among := self._in_the_way(address)) is not None:
            place, moment = self._next(among, address, until)
            if moment > self._clock.now():
                await self._clock.sleep_until(moment)
                continue
            self.given_way += 1
            assert place.occupant is not None  # `_next` returns occupied places only
            await place.occupant.close("another caller has its place, as nobody was there or nobody spoke")
        self._taken[token] = _Place(address)

    def seat(self, token: str, occupant: Occupant) -> None:
        """Assign a session to a taken place."""
        self._taken[token].occupant = occupant

    def leave(self, token: str) -> None:
        """Free a place. Safe to call twice."""
        self._taken.pop(token, None)

    def _in_the_way(self, address: str) -> list[_Place] | None:
        """Return the places of which one must be freed first, or None if there is room."""
        own = [place for place in self._taken.values() if place.address == address]
        if not is_local(address) and len(own) >= max(1, self._most() // 2):
            return own
        return None if self.free else list(self._taken.values())

    def _next(self, among: list[_Place], address: str, until: float) -> tuple[_Place, float]:
        """Return the place that can be freed first, and when; of equals, one of the address that holds most places."""
        held = Counter(place.address for place in self._taken.values())
        moments = [(place, place.occupant.gives_way_at()) for place in among if place.occupant is not None]
        ready = [(place, max(self._clock.now(), moment)) for place, moment in moments if moment is not None]
        place, moment = min(ready, key=lambda item: (item[1], -held[item[0].address]), default=(None, until + 1))
        if place is None or moment > until:
            if self.free:
                raise NoRoomError(f"{address} has {len(among)} places, as many as one address gets; end a call first")
            raise NoRoomError(f"all {len(among)} places are taken; try again in a moment")
        return place, moment
