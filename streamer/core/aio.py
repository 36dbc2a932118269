"""Asyncio helpers: an injectable clock, owned tasks, and running coroutines until the first ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol


class Clock(Protocol):
    """A monotonic clock with sleep."""

    def now(self) -> float:
        """Return seconds since an arbitrary start, the same in every process of this machine."""

    async def sleep_until(self, moment: float) -> None:
        """Sleep until `moment`; return at once if it has passed."""


class MonotonicClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        """Return seconds since an arbitrary start."""
        return time.monotonic()

    async def sleep_until(self, moment: float) -> None:
        """Sleep until `moment`; always lets other tasks run."""
        await asyncio.sleep(max(0.0, moment - time.monotonic()))


SWITCH_INTERVAL_S = 0.0005  # a busy thread then delays the audio by half a millisecond, not five


async def until_first(*parts: Coroutine[Any, Any, object]) -> None:
    """Run the coroutines until one ends, then cancel the others and wait for their end.

    Raises:
        Exception: the exception of the one that ended.
    """
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Tasks:
    """Tasks of one owner, kept until they end. `on_failure` is called with the exception of a failed task."""

    def __init__(self, on_failure: Callable[[BaseException], None] | None = None) -> None:
        self._running: set[asyncio.Task[None]] = set()
        self._on_failure = on_failure

    def __len__(self) -> int:
        """Return the number of running tasks."""
        return len(self._running)

    def spawn(self, part: Coroutine[Any, Any, None]) -> None:
        """Start a coroutine as a task."""
        task = asyncio.create_task(part)
        self._running.add(task)
        task.add_done_callback(self._ended)

    def cancel(self) -> None:
        """Cancel all running tasks."""
        for task in self._running:
            task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._on_failure is not None and not task.cancelled() and (error := task.exception()) is not None:
            self._on_failure(error)
