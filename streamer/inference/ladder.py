"""Load shedding in steps: what to leave out when not every picture can be made in time, and when to restore it.

A face that moves a little less is better than a frozen one. So a device that falls behind goes down the ladder rung by
rung, for all its sessions together, and up again when it has capacity: one rung at a time, after a while without
trouble, and after a longer while each time an attempt fails.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from streamer.core.rates import FRAME_MS
from streamer.core.rungs import RUNGS, Rung

WINDOW_S = 0.5  # period over which pictures are counted
MANY, MOST = 0.1, 0.5  # too large a share of pictures missing or late, in two windows in a row, or in one
FEW = 0.03  # up to this share counts as no trouble
ROOM = 0.85  # going up needs an expected busy share, on the rung above, of at most this
PATIENCE_S, MOST_PATIENCE_S = 4.0, 64.0  # without trouble before going up a rung
TRIAL_S = 10.0  # going up failed if the rung holds for less than this
LEAST_RATE, LEAST_FOR_S = 2.0, 3.0  # new pictures/s per session: below it for so long, a still portrait is better
VAIN = 2  # windows in a row without a picture in time, after which the delay is raised in one step
STILL_PATIENCE_S = 8.0  # at most, with the still portrait before pictures are tried again
SIZE = next(place for place, rung in enumerate(RUNGS) if rung.smallest)


@dataclass
class _Window:
    """Counts since `start`.

    late: pictures more than a frame late; unfit: pictures too late to be shown; slack, most: the least and the most
    seconds that a picture had left before its deadline.
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
    """Chooses the rung of a device. steps: number of steps down to each rung, by name."""

    def __init__(self, now: float) -> None:
        """Start at the top; `now` is in seconds of the caller's clock, as in all methods."""
        self.steps: Counter[str] = Counter()
        self.busy = 0.0  # share of the last window spent working
        self._place = 0
        self._window = _Window(now)
        self._was_bad = False
        self._settling = False  # pictures in the queue still belong to the previous rung
        self._calm_since = now
        self._slack = float("inf")  # least slack since `_calm_since`
        self._patience = PATIENCE_S
        self._climbed = float("-inf")
        self._vain = 0  # windows in a row without a picture in time to be shown
        self._fed = now  # when LEAST_RATE was last reached

    @property
    def rung(self) -> Rung:
        """The current rung."""
        return RUNGS[self._place]

    def made(self, slack: float, fits: bool) -> None:
        """Count a rendered picture. slack: seconds left until its deadline; fits: it can still be shown."""
        window = self._window
        window.made += 1
        window.late += slack < -FRAME_MS / 1000
        window.unfit += not fits
        window.slack, window.most = min(window.slack, slack), max(window.most, slack)

    def missed(self) -> None:
        """Count a picture that was dropped for lack of time."""
        self._window.missed += 1

    def worked(self, seconds: float) -> None:
        """Add time spent working."""
        self._window.busy += seconds

    def look(self, now: float, sessions: int) -> bool:
        """Move up or down if the last window calls for it; return whether the rung changed."""
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
        """Return the share of pictures that a lower rung would save."""
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
        """Return whether pictures would be in time with the delay of the rung above."""
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
        """Return the first rung whose delay suits the best of several windows without a picture in time; else 0.

        Less work alone would not help there. Returns the rung with the longest delay at most.
        """
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
