"""Terminal interface of a conversation: a line with the microphone's level, and key presses."""

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
LOCAL_MODES = 3  # index of the local modes in termios's attribute list


def meter(hearing: Hearing, stats: PlayoutStats, columns: int | None = None) -> str:
    """Format one line of at most `columns` characters: level, state of the microphone, late pictures."""
    share = min(max(1 - hearing.level_db / LOWEST_DB, 0.0), 1.0)
    bar = "#" * round(share * BAR_WIDTH)
    state = "muted" if hearing.muted else "held" if hearing.held else ""
    late = f"{stats.repeated} of {stats.shown} pictures late" if stats.repeated else ""
    line = f"[{bar:<{BAR_WIDTH}}] {max(hearing.level_db, LOWEST_DB):4.0f} dB  {state:5s}  m mutes, q ends  {late}"
    return line[:columns]


def columns() -> int:
    """Return the usable columns of the terminal at standard error: one fewer than its width, so that no line wraps."""
    found = 0  # some terminals report no size
    with contextlib.suppress(OSError, ValueError):
        found = os.get_terminal_size(sys.stderr.fileno()).columns
    return (found or USUAL_COLUMNS) - 1


class Keys:
    """Reads single key presses if standard input is a terminal; a context manager that restores the terminal.

    In the background (`&`, or Ctrl-Z and `bg`) the keys belong to another program, and the system stops a process that
    accesses the terminal. So no keys are read until the program is in the foreground again.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdin
        self._before: Any = None  # termios attributes to restore

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
        """Whether this program is in the terminal's foreground; True if that cannot be determined."""
        if sys.platform == "win32" or self._stream is None:
            return True
        try:
            return os.tcgetpgrp(self._stream.fileno()) == os.getpgrp()
        except (OSError, ValueError):  # not a terminal, or not this program's controlling terminal
            return True

    def pressed(self) -> str:
        """Return the keys pressed since the last call, without waiting."""
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
        """Set the terminal to single key presses; return whether keys can be read.

        This is repeated because a shell resets the mode before it returns a program to the foreground.
        """
        if sys.platform == "win32" or self._stream is None or not self._stream.isatty() or not self.in_front:
            return False
        import termios
        import tty

        found = termios.tcgetattr(self._stream)
        if found[LOCAL_MODES] & termios.ICANON:
            self._before = found
            tty.setcbreak(self._stream)
        return True
