"""Signal handling in which Ctrl-C cannot get lost.

Python raises KeyboardInterrupt wherever the main thread is. In a callback from a C library (such as a file read for
FFmpeg), the library may swallow it, and the program continues; PyAV also prints it. So the signal is remembered and can
be polled, and nothing is raised inside functions marked as such callbacks.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from types import CodeType, FrameType
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_CALLBACKS: set[CodeType] = set()


def called_from_c(function: Callable[P, R]) -> Callable[P, R]:
    """Mark a function that a C library calls: inside `interruptible`, SIGINT does not raise in it."""
    _CALLBACKS.add(function.__code__)
    return function


@contextlib.contextmanager
def terminable() -> Iterator[Callable[[], bool]]:
    """Treat SIGTERM like Ctrl-C in the block, so that unfinished files are removed before the process ends.

    Yields a function that returns whether SIGTERM has come. Main thread only.
    """
    came = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        came.set()
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background by a shell
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)

    with _handled(signal.SIGTERM, end):
        yield came.is_set


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], None]]:
    """Yield a function to call regularly: it raises KeyboardInterrupt once SIGINT has come. Main thread only."""
    asked = threading.Event()

    def remember(number: int, frame: FrameType | None) -> None:
        asked.set()
        if not _in_callback(frame):
            raise KeyboardInterrupt

    def check() -> None:
        if asked.is_set():
            raise KeyboardInterrupt

    with _handled(signal.SIGINT, remember):
        yield check


def _in_callback(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code in _CALLBACKS:
            return True
        frame = frame.f_back
    return False


@contextlib.contextmanager
def _handled(number: signal.Signals, handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


@contextlib.contextmanager
def sigint_blocked() -> Iterator[None]:
    """Block SIGINT for processes that this thread starts in the block (and, meanwhile, for this thread)."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # multiprocessing's tracker: starting it later would unblock the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_to_the_program() -> None:
    """Ignore SIGINT and SIGHUP in a child process: they reach the whole group, but the parent decides when it ends."""
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):  # Windows has no SIGHUP
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def stop_event() -> asyncio.Event:
    """Return an event of the running loop that is set by SIGINT, SIGTERM and, unless ignored (`nohup`), SIGHUP."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt instead
            loop.add_signal_handler(number, stop.set)
    _on_hangup(loop, stop.set)
    return stop


def _on_hangup(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Call `call` on the loop when the terminal is closed.

    The system and the shell both send SIGHUP, so the handler stays installed after the loop has ended; otherwise the
    second signal would kill the program while it finishes files.
    """

    def come(number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(call)

    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        with contextlib.suppress(ValueError):  # not the main thread
            signal.signal(signal.SIGHUP, come)
