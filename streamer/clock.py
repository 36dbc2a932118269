"""Time, injected: the real clock here, a simulated one in the tests."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """A monotonic clock that one can sleep on."""

    def now(self) -> float:
        """Seconds since an arbitrary start; the same in every process of this machine."""

    async def sleep_until(self, moment: float) -> None:
        """Return at `moment`, at once when it has passed."""


class MonotonicClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        """Seconds since an arbitrary start."""
        return time.monotonic()

    async def sleep_until(self, moment: float) -> None:
        """Return at `moment`; always lets other tasks run."""
        await asyncio.sleep(max(0.0, moment - time.monotonic()))
