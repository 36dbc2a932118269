"""Low priority for background processes that must not disturb conversations."""

from __future__ import annotations

import contextlib
import os

LAST = 19  # lowest Unix nice value: under contention, a fiftieth of a conversation's share


def stand_back(process: int) -> None:
    """Set a newly started process to the lowest priority and to one core; its threads inherit both.

    Skips what the system does not support (Windows: both; macOS: the choice of cores).
    """
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, process, LAST)
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setaffinity(process, {max(os.sched_getaffinity(process))})
