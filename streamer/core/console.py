"""Console output that never fails: if the stream is gone, later lines are dropped.

The terminal may be closed, the log's disk may be full, and a program that reads the output (`| tee talk.log`) may end
first on Ctrl-C. None of these may end a conversation or lose its recording.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable
from typing import TextIO

_diverted: list[Callable[[str], None]] = []  # receiver of notes and remarks in place of standard error, if set
_CLEAR = "\033[K"  # clears to the end of the line


def say(text: str, stream: TextIO | None = None, end: str = "\n") -> None:
    """Print `text` and flush, to standard output by default; once a write fails, print nothing more."""
    stream = stream or sys.stdout
    try:
        print(text, end=end, file=stream, flush=True)
    except OSError:
        _leave(stream)


def show_anything() -> None:
    """Make standard output and error print characters missing in their encoding as escapes instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def note(text: str) -> None:
    """Print a status line, or an error, to standard error."""
    _line(f"avatar: {text}")


def remark(text: str) -> None:
    """Print a remark about the user's input to standard error."""
    _line(f"note: {text}")


def show(text: str) -> None:
    """Replace the terminal's last line by `text`; does nothing if standard error is not a terminal."""
    if sys.stderr.isatty():
        say(f"\r{text}{_CLEAR}", sys.stderr, end="")


def divert(take: Callable[[str], None] | None) -> None:
    """Send every note and remark to `take`, without its prefix; None restores standard error."""
    _diverted[:] = [] if take is None else [take]


def _line(text: str) -> None:
    if _diverted:
        _diverted[0](text.partition(": ")[2])
        return
    start = f"\r{_CLEAR}" if sys.stderr.isatty() else ""
    say(f"{start}{text}", sys.stderr)


def _leave(stream: TextIO) -> None:
    """Redirect a failed stream to the null device, or flushing its buffer at exit would fail again."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
