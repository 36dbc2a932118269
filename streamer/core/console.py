"""Print console output that never fails: if the stream is gone, later lines are dropped.

The terminal may be closed, the log's disk be full, the program that reads along (`| tee talk.log`) end first on Ctrl-C.
None of these may end a conversation or lose its recording.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TextIO


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
    """Print a status line to standard error."""
    say(f"{fresh_line()}avatar: {text}", sys.stderr)


def fresh_line() -> str:
    """Return the control sequence that clears the level meter's line, empty where no terminal shows one."""
    return "\r\033[K" if sys.stderr.isatty() else ""


def _leave(stream: TextIO) -> None:
    """What waits in the stream would fail again when the program ends."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
