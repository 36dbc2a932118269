"""Waiting line of callers that found no free place: first come, first served, by tickets that the callers choose.

Callers are not notified: a waiting caller retries every few seconds with the same ticket, and is dropped from the line
when it stops.
"""

from __future__ import annotations

import re

from streamer.core.aio import Clock

TICKET = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)
PATIENCE_S = 12.0  # a ticket is dropped this long after its last request
MOST, MOST_EACH = 64, 8  # tickets in total, and per address


class WaitingLine:
    """The waiting callers, in order of arrival."""

    def __init__(self, clock: Clock, most: int = MOST) -> None:
        """most: maximum number of tickets."""
        self._clock = clock
        self._most = most
        self._waiting: dict[str, str] = {}  # address by ticket, in order of arrival
        self._asked: dict[str, float] = {}  # time of each ticket's last request, oldest first

    def __len__(self) -> int:
        self._forget()
        return len(self._waiting)

    def ahead_of(self, ticket: str | None) -> int:
        """Return the number of callers ahead of this one; callers without a ticket come last."""
        self._forget()
        for place, waiting in enumerate(self._waiting):
            if waiting == ticket:
                return place
        return len(self._waiting)

    def wait(self, ticket: str, address: str) -> int | None:
        """Join the line or stay in it; return the caller's number, from 1, or None if the line is full."""
        self._forget()
        if ticket not in self._waiting:
            own = sum(waiting == address for waiting in self._waiting.values())
            if own >= MOST_EACH or len(self._waiting) >= self._most:
                return None
            self._waiting[ticket] = address
        self._asked.pop(ticket, None)
        self._asked[ticket] = self._clock.now()
        return self.ahead_of(ticket) + 1

    def leave(self, ticket: str | None) -> None:
        """Remove a caller that was admitted or gave up."""
        if ticket is not None:
            self._waiting.pop(ticket, None)
            self._asked.pop(ticket, None)

    def _forget(self) -> None:
        least = self._clock.now() - PATIENCE_S
        while self._asked and self._asked[first := next(iter(self._asked))] < least:
            self.leave(first)
