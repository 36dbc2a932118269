"""Sessions of a worker that stood still end when it goes on; those of one that was only slow do not."""

from __future__ import annotations

import asyncio
from typing import Any

from streamer.cluster.nodes.standstill import REASON, Standstill
from tests.fakes.clock import FakeClock
from tests.fakes.cluster import FakeLobby


async def test_who_was_given_up_by_its_callers_is_not_found_again() -> None:
    lobby: Any = FakeLobby(2)
    clock = FakeClock()
    sessions = [await lobby.admit(key) for key in (None, "a-key")]
    still = Standstill(lobby, clock)
    still.begin()
    still.begin()
    await asyncio.sleep(0)
    await clock.advance(60)
    await clock.stall(4)  # a busy machine
    await clock.advance(1)
    assert list(lobby.sessions.values()) == sessions
    await clock.stall(6)
    await clock.advance(0)
    assert lobby.find("a-key") is None
    assert [session.reason for session in sessions] == [REASON] * 2
    after = await lobby.admit(None)
    await clock.advance(60)
    assert list(lobby.sessions.values()) == [after]
