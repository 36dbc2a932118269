"""A token's quotas, by simulated time."""

from __future__ import annotations

import pytest

from streamer.access.grant import EVERYTHING, TALK, Grant
from streamer.access.tokens import LEEWAY_S
from streamer.access.usage import QuotaError, Usage


class Now:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


def grant(token: str = "one", **limits: float) -> Grant:
    return Grant("ada", token, frozenset({TALK}), expires=4600.0, **limits)  # type: ignore[arg-type]


def test_a_session_lasts_as_long_as_its_token() -> None:
    lease = Usage(Now()).begin(grant())
    assert (lease.seconds, lease.reason) == (3600 + LEEWAY_S, "its token has expired")


def test_sessions_at_a_time_are_counted_for_each_token() -> None:
    usage = Usage(Now())
    first = usage.begin(grant(sessions=1))
    with pytest.raises(QuotaError, match="1 sessions at a time"):
        usage.begin(grant(sessions=1))
    usage.begin(grant("two", sessions=1))
    usage.begin(grant(sessions=1), replaces=True).close()
    first.close()
    first.close()
    usage.begin(grant(sessions=1))
    with pytest.raises(QuotaError):
        usage.begin(grant(sessions=1))


def test_minutes_are_used_up_by_all_sessions_of_a_token() -> None:
    now = Now()
    usage = Usage(now)
    first = usage.begin(grant(minutes=2))
    assert first.seconds == 120
    now.time += 90
    first.close()
    second = usage.begin(grant(minutes=2))
    assert (second.seconds, second.reason) == (30, "the token's 2 minutes are used up")
    now.time += 30
    second.close()
    with pytest.raises(QuotaError, match="used up"):
        usage.begin(grant(minutes=2))
    assert usage.begin(grant("two", minutes=2)).seconds == 120


def test_nothing_bounds_who_needs_no_token() -> None:
    assert Usage(Now()).begin(EVERYTHING).seconds is None
