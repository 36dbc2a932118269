"""Quota usage of tokens: open sessions, and minutes of conversation.

The counters are in memory and start at zero with the server; a token's lifetime is only hours.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from streamer.access.grant import Grant
from streamer.access.tokens import LEEWAY_S
from streamer.core.errors import SessionError


class QuotaError(SessionError):
    """A quota of a token is used up."""


@dataclass
class _Used:
    expires: float
    sessions: int = 0  # open now
    seconds: float = 0.0  # total of its ended sessions


class Lease:
    """The quota of one session. seconds: its time limit, None for no limit. reason: why it ends after that time."""

    def __init__(self, used: _Used | None, seconds: float | None, reason: str, now: Callable[[], float]) -> None:
        self.seconds = seconds
        self.reason = reason
        self._used = used
        self._now = now
        self._begun = now()

    def close(self) -> None:
        """Count the session as ended (or never opened). Safe to call twice."""
        if self._used is not None:
            self._used.sessions -= 1
            self._used.seconds += max(0.0, self._now() - self._begun)
            self._used = None


class Usage:
    """Quota usage of all tokens. now: Unix seconds."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._tokens: dict[str, _Used] = {}

    def begin(self, grant: Grant, replaces: bool = False) -> Lease:
        """Count one more session. replaces: it takes over from a session that is about to end. Raises QuotaError."""
        if grant.expires is None:
            return Lease(None, None, "", self._now)
        self._forget()
        used = self._tokens.setdefault(grant.token, _Used(grant.expires))
        if grant.sessions is not None and used.sessions - replaces >= grant.sessions:
            raise QuotaError(f"the token is for {grant.sessions} sessions at a time; end one first")
        seconds, reason = grant.expires + LEEWAY_S - self._now(), "its token has expired"
        if grant.minutes is not None:
            left = 60 * grant.minutes - used.seconds
            if left <= 0:
                raise QuotaError(f"the token's {grant.minutes:g} minutes are used up")
            if left < seconds:
                seconds, reason = left, f"the token's {grant.minutes:g} minutes are used up"
        used.sessions += 1
        return Lease(used, max(0.0, seconds), reason, self._now)

    def _forget(self) -> None:
        least = self._now() - LEEWAY_S
        for token, used in list(self._tokens.items()):
            if used.expires < least and not used.sessions:
                del self._tokens[token]
