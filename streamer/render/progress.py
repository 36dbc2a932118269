"""Shows the progress of a rendering in the terminal."""

from __future__ import annotations

import sys
import time

from streamer.core.console import say, show
from streamer.core.rates import FPS

PROGRESS_EVERY = 0.2  # seconds
BAR_WIDTH = 28


class Progress:
    """Progress bar on standard error: share, speed and remaining time. Only the last line if that is not a terminal.

    seconds: length of the video, None if not known.
    """

    def __init__(self, seconds: float | None) -> None:
        self._total = None if seconds is None else max(1, round(seconds * FPS))
        self._start = time.monotonic()
        self._shown = 0.0

    def start(self) -> None:
        """Start the clock, just before the first frame."""
        self._start = time.monotonic()

    def show(self, frames: int) -> None:
        """Draw the bar for this number of finished frames."""
        now = time.monotonic()
        if now - self._shown < PROGRESS_EVERY:
            return
        self._shown = now
        text, speed = self._text(frames, now)
        if self._total:
            share = min(frames / self._total, 1.0)
            bar = "#" * round(share * BAR_WIDTH)
            left = max(0, self._total - frames) / speed
            text = f"[{bar:<{BAR_WIDTH}}] {share:4.0%}  {text}, {left:.0f} s left"
        show(text)

    def end(self, frames: int) -> None:
        """Replace the bar with the number of frames and the speed."""
        show("")
        say(self._text(frames, time.monotonic())[0], sys.stderr)

    def _text(self, frames: int, now: float) -> tuple[str, float]:
        speed = max(frames / max(now - self._start, 1e-6), 1e-6)
        return f"{frames} frame{'s' * (frames != 1)}, {speed:.1f} a second, {speed / FPS:.2f} x real time", speed
