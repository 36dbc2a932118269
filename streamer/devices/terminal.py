"""The terminal while one talks: a line with the microphone's level, and keys."""

from __future__ import annotations

import contextlib
import os
import sys
from types import TracebackType
from typing import Any, TextIO

from streamer.devices.mute_and_meter import Hearing
from streamer.session.playout import PlayoutStats

LOWEST_DB = -60.0  # the meter's left end; full scale is the right one
BAR_WIDTH = 24
USUAL_COLUMNS = 80
LOCAL_MODES = 3  # where in what termios gives


def meter(hearing: Hearing, stats: PlayoutStats, columns: int | None = None) -> str:
    """Format one line of `columns` at most: level, state of the microphone, late pictures."""
    share = min(max(1 - hearing.level_db / LOWEST_DB, 0.0), 1.0)
    bar = "#" * round(share * BAR_WIDTH)
    state = "muted" if hearing.muted else "held" if hearing.held else ""
    late = f"{stats.repeated} of {stats.shown} pictures late" if stats.repeated else ""
    line = f"[{bar:<{BAR_WIDTH}}] {max(hearing.level_db, LOWEST_DB):4.0f} dB  {state:5s}  m mutes, q ends  {late}"
    return line[:columns]


def columns() -> int:
    """Of the terminal that standard error is, at this moment; a line that fills them all would go on in the next."""
    found = 0  # some terminals do not know themselves
    with contextlib.suppress(OSError, ValueError):
        found = os.get_terminal_size(sys.stderr.fileno()).columns
    return (found or USUAL_COLUMNS) - 1


class Keys:
    """Single key presses, where standard input is a terminal; a context manager that leaves it as it was.

    In the background (`&`, or Ctrl-Z and `bg`) the keys are another program's, and the system stops whoever touches
    the terminal: then there are none, until the program is fetched back.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdin
        self._before: Any = None  # what termios calls attributes

    def __enter__(self) -> Keys:
        self._take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if sys.platform != "win32" and self._before is not None and self.in_front:
            import termios

            with contextlib.suppress(termios.error):  # the terminal was closed
                termios.tcsetattr(self._stream, termios.TCSADRAIN, self._before)

    @property
    def in_front(self) -> bool:
        """Whether the terminal takes us for the program in the foreground, or is none that tells."""
        if sys.platform == "win32" or self._stream is None:
            return True
        try:
            return os.tcgetpgrp(self._stream.fileno()) == os.getpgrp()
        except (OSError, ValueError):  # not a terminal, or not the one that this program was started from
            return True

    def pressed(self) -> str:
        """Keys since the last call; never waits."""
        if self._stream is None or not self._stream.isatty():
            return ""
        if sys.platform == "win32":
            import msvcrt

            keys = ""
            while msvcrt.kbhit():
                keys += msvcrt.getwch()
            return keys
        import select

        keys = ""
        while self._take() and select.select([self._stream], [], [], 0)[0]:
            read = os.read(self._stream.fileno(), 64)
            if not read:
                break
            keys += read.decode("ascii", "ignore")
        return keys

    def _take(self) -> bool:
        """Whether keys are to be had, one by one; a shell that fetches a program back has set its own ways before."""
        if sys.platform == "win32" or self._stream is None or not self._stream.isatty() or not self.in_front:
            return False
        import termios
        import tty

        found = termios.tcgetattr(self._stream)
        if found[LOCAL_MODES] & termios.ICANON:
            self._before = found
            tty.setcbreak(self._stream)
        return True
