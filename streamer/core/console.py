"""What a program that talks says to whoever started it: lines that may go nowhere, and then hold up nothing.

The terminal may be closed, the log's disk be full, the program that reads along (`| tee talk.log`) end first on Ctrl-C.
None of that is a reason to end a conversation, or not to finish what was recorded of it.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TextIO


def say(text: str, stream: TextIO | None = None, end: str = "\n") -> None:
    """Print `text` at once, to standard output; to nobody from when on that fails."""
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
    """Say on standard error what happens meanwhile."""
    say(f"{fresh_line()}avatar: {text}", sys.stderr)


def fresh_line() -> str:
    """What takes the meter's line away, where there may be one."""
    return "\r\033[K" if sys.stderr.isatty() else ""


def _leave(stream: TextIO) -> None:
    """What waits in the stream would fail again when the program ends."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
