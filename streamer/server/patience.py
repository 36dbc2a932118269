"""How long a session is waited for: to connect, and then for as long as somebody is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from streamer.core.aio import Clock
from streamer.core.limits import Limits


async def until_connected(reached: asyncio.Event, live: asyncio.Event, limits: Limits) -> str | None:
    """Wait until `live`; return why it is given up where that takes too long.

    reached: ICE has found a way to the peer, which has a shorter time than all of it.
    """
    for event, patience_s in ((reached, min(limits.ice_s, limits.connect_s)), (live, limits.connect_s)):
        try:
            async with asyncio.timeout(patience_s):
                await event.wait()
        except TimeoutError:
            return f"not connected after {patience_s:g} s"
    return None


async def until_over(moments: Callable[[], dict[str, float]], clock: Clock) -> str:
    """Return the reason of the first moment that has passed; `moments` gives those that hold now, and may move them."""
    while True:
        found = moments()
        reason = min(found, key=lambda reason: found[reason])
        if clock.now() >= found[reason]:
            return reason
        await clock.sleep_until(found[reason])
