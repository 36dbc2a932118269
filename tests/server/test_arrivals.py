"""Uploads beside each other: a few at a time, of which a slow one gives way."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from streamer.core.errors import BundleError
from streamer.server.arrivals import FIRST_S, MOST, Arrivals
from tests.fakes.clock import FakeClock

LONG_S = 60.0


async def arrive(arrivals: Arrivals, size: int, begun: asyncio.Event) -> str:
    """An upload that sends so much, and then nothing."""
    try:
        async with arrivals.one(LONG_S) as arrival:
            arrival.bytes = size
            begun.set()
            await asyncio.Event().wait()
    except TimeoutError:
        return f"{size} gave way"
    return "it arrived"


async def test_the_slowest_gives_way_when_all_places_are_taken_but_not_at_once() -> None:
    clock = FakeClock()
    arrivals = Arrivals(clock)
    waiting = []
    for size in (500, 1, 700, 900):
        begun = asyncio.Event()
        waiting.append(asyncio.create_task(arrive(arrivals, size, begun)))
        await begun.wait()
    assert len(waiting) == MOST
    with pytest.raises(BundleError, match="4 photos are arriving already"):
        async with arrivals.one(LONG_S):
            pass
    await clock.advance(FIRST_S)
    async with AsyncExitStack() as stack, asyncio.timeout(LONG_S):
        await stack.enter_async_context(arrivals.one(LONG_S))
        done, others = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result() for task in done] == ["1 gave way"]
        await stack.enter_async_context(arrivals.one(LONG_S))
        done, others = await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result() for task in done] == ["500 gave way"]
    for task in others:
        task.cancel()


async def test_a_place_is_free_when_its_upload_is_over() -> None:
    arrivals = Arrivals(FakeClock())
    for _ in range(3 * MOST):
        async with arrivals.one(LONG_S):
            pass
