"""Simulated time."""

from __future__ import annotations

import asyncio
import collections

MOST_TURNS = 100_000


class FakeClock:
    """A clock that moves only when told to; sleepers wake in the order of their moments."""

    def __init__(self) -> None:
        self.time = 1000.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self.time

    async def sleep_until(self, moment: float) -> None:
        if moment <= self.time:
            await asyncio.sleep(0)
            return
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((moment, sleeper))
        await sleeper

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass, waking every sleeper at its own moment."""
        end = self.time + seconds
        while True:
            await _settle()
            due = [item for item in self._sleepers if item[0] <= end]
            if not due:
                break
            first = min(due, key=lambda item: item[0])
            self._sleepers.remove(first)
            self.time = max(self.time, first[0])
            if not first[1].done():
                first[1].set_result(None)
        self.time = end
        await _settle()

    async def stall(self, seconds: float) -> None:
        """The program is held up: `seconds` pass unseen, then all whose moment has come wake at once."""
        self.time += seconds
        due = sorted((item for item in self._sleepers if item[0] <= self.time), key=lambda item: item[0])
        self._sleepers = [item for item in self._sleepers if item[0] > self.time]
        for _, sleeper in due:
            if not sleeper.done():
                sleeper.set_result(None)
        for _ in due:
            await _settle()  # what was missed may be made up for step by step
        await _settle()


async def _settle() -> None:
    """Run every task until it waits for something; sockets and threads are not waited for.

    A loop has no public word for "nothing is ready"; asyncio's keeps its callbacks in `_ready`, and this task, being
    the one that runs, is not in it.

    Raises:
        RuntimeError: tasks that never wait.
    """
    ready: collections.deque[object] = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
    for _ in range(MOST_TURNS):
        await asyncio.sleep(0)
        if not ready:
            return
    raise RuntimeError(f"tasks are still ready after {MOST_TURNS} turns of the loop: one never waits")
