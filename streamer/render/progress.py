"""Progress of a rendering in the terminal."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from streamer.core.rates import FPS

PROGRESS_EVERY = 0.2  # seconds
BAR_WIDTH = 28


class Progress:
    """A bar: how far, how fast, how long still. Only the last line where `stream` is not a terminal."""

    def __init__(self, seconds: float | None, stream: TextIO) -> None:
        self._total = None if seconds is None else max(1, round(seconds * FPS))
        self._stream = stream
        self._start = time.monotonic()
        self._shown = 0.0

    def wait(self, what: str) -> None:
        """Show the name of the pending step on a terminal; the progress bar replaces it."""
        if self._stream.isatty():
            print(f"\r{what} ...\033[K", end="", file=self._stream, flush=True)

    def start(self) -> None:
        """The first frame is about to be made."""
        self._start = time.monotonic()

    def show(self, frames: int, last: bool = False) -> None:
        """Draw the bar for so many frames done."""
        now = time.monotonic()
        if not self._stream.isatty() and not last:
            return
        if not last and now - self._shown < PROGRESS_EVERY:
            return
        self._shown = now
        speed = frames / max(now - self._start, 1e-6)
        text = f"{frames} frame{'s' * (frames != 1)}, {speed:.1f} a second, {speed / FPS:.2f} x real time"
        if self._total and not last:
            share = min(frames / self._total, 1.0)
            bar = "#" * round(share * BAR_WIDTH)
            left = max(0, self._total - frames) / max(speed, 1e-6)
            text = f"[{bar:<{BAR_WIDTH}}] {share:4.0%}  {text}, {left:.0f} s left"
        start = "\r" if self._stream.isatty() else ""
        print(f"{start}{text}\033[K" if start else text, end="\n" if last else "", file=self._stream, flush=True)


def note(text: str) -> None:
    """Say something on the way."""
    start = "\r\033[K" if sys.stderr.isatty() else ""  # in the place of what was being waited for
    print(f"{start}note: {text}", file=sys.stderr)
