"""The line of callers for whom there was no room: first come, first served, by tickets of their own.

Nobody is called: who waits asks again every few seconds, with the same ticket, and has left the line when it does not.
"""

from __future__ import annotations

import re

from streamer.core.aio import Clock

TICKET = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)
PATIENCE_S = 12.0  # since it asked last
MOST, MOST_EACH = 64, 8  # tickets, and those of one address


class WaitingLine:
    """Who waits, in order."""

    def __init__(self, clock: Clock, most: int = MOST) -> None:
        """`most`: tickets."""
        self._clock = clock
        self._most = most
        self._waiting: dict[str, str] = {}  # addresses by ticket, in the order of their coming
        self._asked: dict[str, float] = {}  # when each asked last, in that order

    def __len__(self) -> int:
        self._forget()
        return len(self._waiting)

    def ahead_of(self, ticket: str | None) -> int:
        """How many come before this one; whoever has no ticket comes last."""
        self._forget()
        for place, waiting in enumerate(self._waiting):
            if waiting == ticket:
                return place
        return len(self._waiting)

    def wait(self, ticket: str, address: str) -> int | None:
        """Take or keep a place in the line: return its number, from 1; None where the line is too long."""
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
        """Whoever has come in, or will not, waits no more."""
        if ticket is not None:
            self._waiting.pop(ticket, None)
            self._asked.pop(ticket, None)

    def _forget(self) -> None:
        least = self._clock.now() - PATIENCE_S
        while self._asked and self._asked[first := next(iter(self._asked))] < least:
            self.leave(first)
