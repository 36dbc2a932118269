"""Waits for an event that nothing announces, each with a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PATIENCE_S = 30.0  # of a machine that carries ten times its load


def attempts(seconds: float = PATIENCE_S, step: float = 0.01) -> Iterator[int]:
    """Count up until the caller leaves the loop. Raises AssertionError after `seconds`."""
    deadline, count = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        yield count
        count += 1
        time.sleep(step)
    raise AssertionError(f"not within {seconds:g} s")


def until(condition: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Wait until a condition is true. Raises AssertionError after `seconds`."""
    for _ in attempts(seconds):
        if condition():
            return


async def eventually(condition: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """The same without blocking the loop."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        await asyncio.sleep(0.01)


def until_grown(folder: Path, pattern: str, size: int) -> None:
    """Wait until a file of this name has so many bytes, as one does that another program writes."""
    until(lambda: any(found.stat().st_size >= size for found in folder.glob(pattern)), 2 * PATIENCE_S)
