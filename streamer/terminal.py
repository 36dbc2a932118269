"""The terminal while one talks: a line with the microphone's level, and keys."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, TextIO

from streamer.hearing import Hearing
from streamer.playout import PlayoutStats

LOWEST_DB = -60.0  # the meter's left end; full scale is the right one
BAR_WIDTH = 24


def meter(hearing: Hearing, stats: PlayoutStats) -> str:
    """One line: level, what is with the microphone, how the pictures do."""
    share = min(max(1 - hearing.level_db / LOWEST_DB, 0.0), 1.0)
    bar = "#" * round(share * BAR_WIDTH)
    state = "muted" if hearing.muted else "held" if hearing.held else ""
    late = f"{stats.repeated} of {stats.shown} pictures late" if stats.repeated else ""
    return f"[{bar:<{BAR_WIDTH}}] {max(hearing.level_db, LOWEST_DB):4.0f} dB  {state:5s}  m mutes, q ends  {late}"


class Keys:
    """Single key presses, where standard input is a terminal; a context manager that leaves it as it was."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdin
        self._before: Any = None  # what termios calls attributes

    def __enter__(self) -> Keys:
        if sys.platform != "win32" and self._stream is not None and self._stream.isatty():
            import termios
            import tty

            self._before = termios.tcgetattr(self._stream)
            tty.setcbreak(self._stream)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if sys.platform != "win32" and self._before is not None:
            import termios

            termios.tcsetattr(self._stream, termios.TCSADRAIN, self._before)

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
        import os
        import select

        keys = ""
        while select.select([self._stream], [], [], 0)[0]:
            read = os.read(self._stream.fileno(), 64)
            if not read:
                break
            keys += read.decode("ascii", "ignore")
        return keys
