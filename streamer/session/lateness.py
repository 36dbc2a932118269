"""Picture lateness: a sliding window of arrival time minus due time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain

from streamer.core.histogram import LATENESS_S, Histogram

REMEMBERED = 250  # pictures: ten seconds
SHARE = 0.95  # of the pictures: the reported percentile


class Lateness:
    """Lateness of one session's pictures, in ms; negative is early."""

    def __init__(self) -> None:
        self.all = Histogram(LATENESS_S)  # in seconds, since the start
        self._known: deque[int] = deque(maxlen=REMEMBERED)

    def note(self, late_ms: int) -> None:
        """Record the lateness of a picture."""
        self._known.append(late_ms)
        self.all.note(late_ms / 1000)

    def __iter__(self) -> Iterator[int]:
        return iter(self._known)


def worst_of(sessions: Iterable[Iterable[int]]) -> int | None:
    """Return the 95th percentile of the lateness of all pictures, in ms; None without pictures."""
    known = sorted(chain.from_iterable(sessions))
    return known[min(len(known) - 1, int(SHARE * len(known)))] if known else None
