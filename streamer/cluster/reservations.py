"""The places of one worker that are promised, being taken, or taken: none twice, none for ever. No I/O.

A gateway reserves a place before it sends the offer, which costs the worker work. A promise that no offer follows
lapses.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection

from streamer.core.aio import Clock

LEASE_S = 5.0  # from the promise to the offer


class Reservations:
    """Of one worker. `most`: how many sessions there may be; `sessions`: the tokens of those there are."""

    def __init__(self, most: Callable[[], int], sessions: Collection[str], clock: Clock) -> None:
        self._most = most
        self._sessions = sessions
        self._clock = clock
        self._promised: dict[str, float] = {}  # until when
        self._taking: set[str] = set()
        self._seated: set[str] = set()  # tokens

    @property
    def free(self) -> int:
        """How many may be promised."""
        return max(0, self._most() - self._used())

    @property
    def pending(self) -> int:
        """How many are promised, or being taken."""
        self._prune()
        return len(self._promised) + len(self._taking)

    def reserve(self, beyond: bool = False) -> str | None:
        """Promise a place: return the reservation's name, None when there is none.

        beyond: the session takes the place of one that is there.
        """
        if not self.free and not beyond:
            return None
        name = secrets.token_urlsafe(12)
        self._promised[name] = self._clock.now() + LEASE_S
        return name

    def begin(self, name: str) -> bool:
        """An offer comes with a reservation: return whether it still holds. Then `seat` or `release` must follow."""
        self._prune()
        if self._promised.pop(name, None) is None:
            return False
        self._taking.add(name)
        return True

    def seat(self, name: str, token: str) -> None:
        """The session has begun; its place is free again when it is not among the sessions any more."""
        self._taking.discard(name)
        self._seated.add(token)

    def release(self, name: str) -> None:
        """No session came of it; safe to call twice."""
        self._promised.pop(name, None)
        self._taking.discard(name)

    def _used(self) -> int:
        """A session that is being opened may be among the sessions before its opening has ended: it counts once."""
        self._prune()
        others = len(self._sessions) - len(self._seated)
        return len(self._promised) + max(len(self._taking), others) + len(self._seated)

    def _prune(self) -> None:
        now = self._clock.now()
        self._promised = {name: until for name, until in self._promised.items() if until > now}
        self._seated = {token for token in self._seated if token in self._sessions}
