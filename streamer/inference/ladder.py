"""What is left out, step by step, when there is not the time for every picture, and when it is taken back.

A face that moves a little less is better than one that stands still. So a device that falls behind goes down one rung
after the other, all of its sessions together, and up again when there is room: one rung at a time, after a while
without trouble, and later after every attempt that failed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from streamer.core.rates import FRAME_MS
from streamer.core.rungs import RUNGS, Rung

WINDOW_S = 0.5  # over which pictures are counted
MANY, MOST = 0.1, 0.5  # share of pictures missing or late that is too much in two windows in a row, or in one
FEW = 0.03  # such a share that is none
ROOM = 0.85  # of the time: what a rung may be expected to take
PATIENCE_S, MOST_PATIENCE_S = 4.0, 64.0  # without trouble before a rung is climbed
TRIAL_S = 10.0  # a rung that does not hold for so long was climbed in vain
LEAST_RATE, LEAST_FOR_S = 2.0, 3.0  # new pictures a second and session, below which for so long the portrait is better
VAIN = 2  # windows in a row without a picture that could be shown, after which there is more delay at once
STILL_PATIENCE_S = 8.0  # with the portrait, at most, before pictures are tried again
SIZE = next(place for place, rung in enumerate(RUNGS) if rung.smallest)


@dataclass
class _Window:
    """Counts since `start`.

    late: pictures that come a whole frame late; unfit: too late to be shown; slack, most: the least and the most time,
    in seconds, that a picture had left.
    """

    start: float
    made: int = 0
    late: int = 0
    unfit: int = 0
    missed: int = 0
    busy: float = 0.0
    slack: float = float("inf")
    most: float = float("-inf")


class Ladder:
    """Which rung a device is on. steps: how often each rung was gone down to, by name."""

    def __init__(self, now: float) -> None:
        """now: seconds of the caller's clock, as in all methods."""
        self.steps: Counter[str] = Counter()
        self.busy = 0.0  # share of the last window in which there was work
        self._place = 0
        self._window = _Window(now)
        self._was_bad = False
        self._settling = False  # what waits is of the rung before
        self._calm_since = now
        self._slack = float("inf")  # least of the calm time
        self._patience = PATIENCE_S
        self._climbed = float("-inf")
        self._vain = 0  # windows in a row of which no picture could be shown
        self._fed = now  # when there were LEAST_RATE last

    @property
    def rung(self) -> Rung:
        """The rung now."""
        return RUNGS[self._place]

    def made(self, slack: float, fits: bool) -> None:
        """Count a picture that was made; slack: seconds left until its moment; fits: it can still be shown."""
        window = self._window
        window.made += 1
        window.late += slack < -FRAME_MS / 1000
        window.unfit += not fits
        window.slack, window.most = min(window.slack, slack), max(window.most, slack)

    def missed(self) -> None:
        """Count a picture for which there was no time."""
        self._window.missed += 1

    def worked(self, seconds: float) -> None:
        """Count time that work took."""
        self._window.busy += seconds

    def look(self, now: float, sessions: int) -> bool:
        """Go up or down where the last window asks for it; return whether the rung is another one now."""
        window = self._window
        seconds = now - window.start
        if seconds < WINDOW_S:
            return False
        self._window = _Window(now)
        self.busy = window.busy / seconds
        if window.made or window.missed:
            self._vain = 0 if window.made > window.unfit else self._vain + 1
        if self._settling:
            self._settling = False
            return False
        if window.made - window.unfit >= LEAST_RATE * sessions * seconds:
            self._fed = now
        trouble = self._trouble(window, now)
        bad = trouble > MANY
        if trouble > MOST or (bad and self._was_bad):
            return self._descend(now, window)
        self._was_bad = bad
        self._slack = min(self._slack, window.slack)
        if trouble > FEW or self.busy * self.rung.dearer > ROOM or not self._has_slack():
            self._calm_since, self._slack = now, window.slack
        if now - self._climbed > TRIAL_S and self._place == 0:
            self._patience = PATIENCE_S
        patience = min(self._patience, STILL_PATIENCE_S) if self.rung.still else self._patience
        return now - self._calm_since >= patience and self._climb(now)

    def _trouble(self, window: _Window, now: float) -> float:
        """Share of pictures that a lower rung would mend."""
        wanted = window.made + window.missed
        if not wanted:
            return 0.0
        if self._place < SIZE:
            return (window.missed + window.late) / wanted
        below = RUNGS[min(self._place + 1, len(RUNGS) - 1)]
        if below.still:
            return float(now - self._fed > LEAST_FOR_S)
        return window.late / window.made if window.made else 1.0

    def _has_slack(self) -> bool:
        """Whether pictures would be in time with the delay of the rung above."""
        above = RUNGS[max(0, self._place - 1)]
        return self.rung.still or self._slack > (self.rung.extra_ms - above.extra_ms) / 1000

    def _descend(self, now: float, window: _Window) -> bool:
        if self._place == len(RUNGS) - 1:
            return False
        if now - self._climbed < TRIAL_S:
            self._patience = min(2 * self._patience, MOST_PATIENCE_S)
        self._move(max(self._place + 1, self._delay_for(window)), now)
        self.steps[self.rung.name] += 1
        return True

    def _delay_for(self, window: _Window) -> int:
        """Where again and again no picture came in time to be shown: the rung whose delay is long enough for the best
        of them, as less work alone would not do; the longest at most."""
        if not window.made or self._vain < VAIN:
            return 0
        needed = self.rung.extra_ms - 1000 * window.most
        enough = (place for place, rung in enumerate(RUNGS) if rung.extra_ms >= needed)
        return min(next(enough, len(RUNGS)), len(RUNGS) - 2)

    def _climb(self, now: float) -> bool:
        if self._place == 0:
            return False
        self._move(self._place - 1, now)
        self._climbed = now
        return True

    def _move(self, place: int, now: float) -> None:
        self._place = place
        self._was_bad, self._settling = False, True
        self._calm_since, self._slack, self._fed = now, float("inf"), now
        self._window = _Window(now)
