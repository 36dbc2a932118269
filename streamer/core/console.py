"""Print console output that never fails: if the stream is gone, later lines are dropped.

The terminal may be closed, the log's disk be full, the program that reads along (`| tee talk.log`) end first on Ctrl-C.
None of these may end a conversation or lose its recording.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable
from typing import TextIO

_diverted: list[Callable[[str], None]] = []  # who takes notes and remarks instead of standard error, if anybody does
_CLEAR = "\033[K"  # to the end of the line


def say(text: str, stream: TextIO | None = None, end: str = "\n") -> None:
    """Print `text` and flush, to standard output by default; once a write fails, print nothing more."""
    stream = stream or sys.stdout
    try:
        print(text, end=end, file=stream, flush=True)
    except OSError:
        _leave(stream)


def show_anything() -> None:
    """Let standard output and error show signs that their encoding lacks as escapes, where they would be an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def note(text: str) -> None:
    """Print a status line, or an error, to standard error."""
    _line(f"avatar: {text}")


def remark(text: str) -> None:
    """Print something about the input that its owner may want to know."""
    _line(f"note: {text}")


def show(text: str) -> None:
    """Show `text` in the terminal's last line, in the place of what was shown there; nothing where there is none."""
    if sys.stderr.isatty():
        say(f"\r{text}{_CLEAR}", sys.stderr, end="")


def divert(take: Callable[[str], None] | None) -> None:
    """Let `take` have every note and remark, without its first word; None: standard error has them again."""
    _diverted[:] = [] if take is None else [take]


def _line(text: str) -> None:
    if _diverted:
        _diverted[0](text.partition(": ")[2])
        return
    start = f"\r{_CLEAR}" if sys.stderr.isatty() else ""
    say(f"{start}{text}", sys.stderr)


def _leave(stream: TextIO) -> None:
    """What waits in the stream would fail again when the program ends."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
