"""Work that must not disturb conversations: another process made to take only what they leave."""

from __future__ import annotations

import contextlib
import os

LAST = 19  # of Unix's nice values: a fiftieth of what a conversation gets, where both want the processor


def stand_back(process: int) -> None:
    """Give a process that has just been started the lowest priority, and one core, which its threads inherit.

    As far as the system has that (Windows has neither, macOS no choice of cores).
    """
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, process, LAST)
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setaffinity(process, {max(os.sched_getaffinity(process))})
