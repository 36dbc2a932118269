"""A server that has gone is noticed in its time, also by a program that was held up meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from streamer.desktop.silence import Silence
from tests.fakes.clock import FakeClock

PATIENCE_S = 3.0


@asynccontextmanager
async def waiting(silence: Silence) -> AsyncIterator[asyncio.Task[None]]:
    """Something came just now."""
    silence.heard(PATIENCE_S)
    gone = asyncio.create_task(silence.too_long())
    yield gone
    gone.cancel()


async def test_nothing_for_too_long_is_noticed_and_anything_begins_it_anew() -> None:
    clock = FakeClock()
    silence = Silence(clock)
    async with waiting(silence) as gone:
        await clock.advance(PATIENCE_S - 0.1)
        silence.heard(PATIENCE_S)
        await clock.advance(PATIENCE_S - 0.1)
        assert not gone.done()
        await clock.advance(0.2)
        assert gone.done()


async def test_what_the_program_was_held_up_for_is_no_silence() -> None:
    clock = FakeClock()
    silence = Silence(clock)
    async with waiting(silence) as gone:
        await clock.advance(1.0)
        await clock.stall(5.0)
        assert not gone.done()  # what came meanwhile is read now
        await clock.advance(1.0)
        assert not gone.done()
        await clock.advance(1.5)
        assert gone.done()
