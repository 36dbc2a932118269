"""Cumulative histograms in Prometheus' format, without its client library."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import accumulate

# Bounds in seconds: work on one frame, which has 40 ms; lateness of a picture on arrival; time to an answer.
STAGE_S = (0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.2, 0.5)
LATENESS_S = (-0.4, -0.2, -0.12, -0.08, -0.04, -0.02, 0.0, 0.02, 0.04, 0.08, 0.2, 0.5)
ANSWER_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0)


@dataclass
class Histogram:
    """Counts of values up to each of the rising `bounds`, and above the last. total: sum of all values."""

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)  # per interval; the last has no upper bound
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def note(self, value: float, times: int = 1) -> None:
        """Count a value `times` times."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += times * value

    def add(self, other: Histogram) -> None:
        """Add the counts of another histogram with the same bounds."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        self.total += other.total

    def cumulative(self) -> list[tuple[str, float]]:
        """Return the number of values up to each bound, the last being "+Inf"."""
        names = [*(str(bound) for bound in self.bounds), "+Inf"]
        return list(zip(names, map(float, accumulate(self.counts)), strict=True))
