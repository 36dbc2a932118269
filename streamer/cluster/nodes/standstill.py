"""Close a worker's sessions after a standstill (suspended process, hung machine): their callers have moved on by then.

Pages give up a session after three seconds without a packet and call again. The old session has no caller any more, but
it could still be found by its key and receive speech.
"""

from __future__ import annotations

import asyncio

from streamer.core.aio import Clock
from streamer.core.console import note
from streamer.server.registry import Lobby

LOOK_S = 0.5
STILL_S = 5.0  # standstill after which all sessions close; longer than any caller waits
REASON = "the worker stood still; call again"


class Standstill:
    """Standstill detection for one worker's sessions."""

    def __init__(self, lobby: Lobby, clock: Clock) -> None:
        self._lobby = lobby
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Start watching; safe to call twice."""
        if self._task is None:
            self._task = asyncio.create_task(self._watch(), name="standstill")

    async def _watch(self) -> None:
        while True:
            before = self._clock.now()
            await self._clock.sleep_until(before + LOOK_S)
            still_s = self._clock.now() - before
            sessions = list(self._lobby.sessions.values())
            if still_s > STILL_S and sessions:
                note(f"nothing was done here for {still_s:.0f} s: {len(sessions)} sessions end")
                await asyncio.gather(*(session.close(REASON) for session in sessions))
