"""Ctrl-C that cannot get lost.

Python raises KeyboardInterrupt wherever it happens to be. When that is a callback out of a C library (a file read for
FFmpeg), the library may swallow it, and the program runs on. So the wish to stop is also remembered and can be asked
for.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], None]]:
    """Gives a function to call now and then: it raises KeyboardInterrupt once SIGINT has come. Main thread only."""
    asked = threading.Event()

    def remember(number: int, frame: FrameType | None) -> None:
        asked.set()
        raise KeyboardInterrupt

    def check() -> None:
        if asked.is_set():
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    before = signal.signal(signal.SIGINT, remember)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)


def stop_event() -> asyncio.Event:
    """An event of the running loop that SIGINT and SIGTERM set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt instead
            loop.add_signal_handler(number, stop.set)
    return stop
