"""Reservations of one worker's places: no place is given out twice, and none is held forever. No I/O.

A gateway reserves a place before it sends the offer, because an offer costs the worker processor time. A reservation
expires if no offer follows.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection

from streamer.core.aio import Clock

LEASE_S = 5.0  # lifetime of a reservation without an offer


class Reservations:
    """Reservations of one worker. `most`: returns the session limit; `sessions`: tokens of the open sessions."""

    def __init__(self, most: Callable[[], int], sessions: Collection[str], clock: Clock) -> None:
        self._most = most
        self._sessions = sessions
        self._clock = clock
        self._promised: dict[str, float] = {}  # expiry time by reservation
        self._taking: set[str] = set()  # reservations whose session is being opened
        self._seated: set[str] = set()  # tokens of the sessions opened with a reservation

    @property
    def free(self) -> int:
        """Number of places that can be reserved."""
        return max(0, self._most() - self._used())

    @property
    def pending(self) -> int:
        """Number of places that are reserved or whose session is being opened."""
        self._prune()
        return len(self._promised) + len(self._taking)

    def reserve(self, beyond: bool = False) -> str | None:
        """Reserve a place; return the reservation's name, or None if no place is free.

        beyond: reserve even if no place is free, because the new session replaces an open one.
        """
        if not self.free and not beyond:
            return None
        name = secrets.token_urlsafe(12)
        self._promised[name] = self._clock.now() + LEASE_S
        return name

    def begin(self, name: str) -> bool:
        """Use a reservation for an offer; return whether it was valid. If so, `seat` or `release` must follow."""
        self._prune()
        if self._promised.pop(name, None) is None:
            return False
        self._taking.add(name)
        return True

    def seat(self, name: str, token: str) -> None:
        """Assign the place to an open session; it becomes free when the token leaves `sessions`."""
        self._taking.discard(name)
        self._seated.add(token)

    def release(self, name: str) -> None:
        """Give up a reservation that led to no session; safe to call twice."""
        self._promised.pop(name, None)
        self._taking.discard(name)

    def _used(self) -> int:
        """Return the number of used places. A session may be registered before its opening ends; it counts once."""
        self._prune()
        others = len(self._sessions) - len(self._seated)
        return len(self._promised) + max(len(self._taking), others) + len(self._seated)

    def _prune(self) -> None:
        now = self._clock.now()
        self._promised = {name: until for name, until in self._promised.items() if until > now}
        self._seated = {token for token in self._seated if token in self._sessions}
