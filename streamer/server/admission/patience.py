"""Timeouts of a session: for connecting, and then for silence, a lost peer and the maximum duration."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from streamer.core.aio import Clock
from streamer.core.limits import Limits


async def until_connected(reached: asyncio.Event, live: asyncio.Event, limits: Limits) -> str | None:
    """Wait until `live` is set; return None, or the reason if a timeout passed first.

    reached: set when ICE has connected; this has its own, shorter timeout.
    """
    for event, patience_s in ((reached, min(limits.ice_s, limits.connect_s)), (live, limits.connect_s)):
        try:
            async with asyncio.timeout(patience_s):
                await event.wait()
        except TimeoutError:
            return f"not connected after {patience_s:g} s"
    return None


async def until_over(moments: Callable[[], dict[str, float]], clock: Clock) -> str:
    """Wait for the earliest deadline; return its reason. `moments` gives the current deadlines, which may move."""
    while True:
        found = moments()
        reason = min(found, key=lambda reason: found[reason])
        if clock.now() >= found[reason]:
            return reason
        await clock.sleep_until(found[reason])


def moments_of_end(
    limits: Limits, live_since: float, peer_heard: float, microphone_heard: float | None
) -> dict[str, float]:
    """Return the current deadlines of a session, by reason, for `until_over`.

    peer_heard: when the last packet arrived. microphone_heard: when the last sound arrived; None without microphone.
    """
    found = {
        f"the session lasted {limits.max_session_s / 3600:.1f} hours": live_since + limits.max_session_s,
        f"nothing came from the peer for {limits.gone_s:g} s": peer_heard + limits.gone_s,
    }
    if microphone_heard is not None:
        found[f"no sound from the microphone for {limits.no_media_s:.0f} s"] = microphone_heard + limits.no_media_s
    return found
