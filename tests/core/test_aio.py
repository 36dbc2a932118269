"""Parts that live together end together."""

from __future__ import annotations

import asyncio

import pytest

from streamer.core.aio import until_first


async def forever(ended: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)  # a part may have something to put away
        ended.append("put away")


async def test_the_first_to_end_ends_the_others() -> None:
    ended: list[str] = []
    await until_first(forever(ended), asyncio.sleep(0.01), forever(ended))
    assert ended == ["put away"] * 2


async def test_what_a_part_raises_is_raised_when_the_others_have_ended() -> None:
    async def fail() -> None:
        await asyncio.sleep(0.01)
        raise ConnectionError("gone")

    ended: list[str] = []
    with pytest.raises(ConnectionError, match="gone"):
        await until_first(forever(ended), fail())
    assert ended == ["put away"]


async def test_cancelling_the_caller_cancels_the_parts() -> None:
    ended: list[str] = []
    whole = asyncio.create_task(until_first(forever(ended)))
    await asyncio.sleep(0.01)
    whole.cancel()
    with pytest.raises(asyncio.CancelledError):
        await whole
    assert ended == ["put away"]
