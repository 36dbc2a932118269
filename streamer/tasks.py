"""Coroutines that live and end together."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

SWITCH_INTERVAL_S = 0.0005  # a busy thread then holds up the sound for half a millisecond, not five


async def until_first(*parts: Coroutine[Any, Any, object]) -> None:
    """Run all of them until one ends; the others are cancelled, and have ended when this returns.

    Raises:
        Exception: what a part that ended raised.
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
