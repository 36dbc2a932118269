"""Counters of the time spent in each stage."""

from __future__ import annotations

from streamer.core.histogram import STAGE_S, Histogram


class StageTimes:
    """Number of runs and total time, per stage."""

    def __init__(self) -> None:
        self.totals: dict[str, tuple[int, float]] = {}
        self.latencies: dict[str, Histogram] = {}

    def add(self, stage: str, times: int, seconds: float) -> None:
        """Add `times` runs that took `seconds` in total."""
        count, total = self.totals.get(stage, (0, 0.0))
        self.totals[stage] = (count + times, total + seconds)
        if times:
            self.latencies.setdefault(stage, Histogram(STAGE_S)).note(seconds / times, times)

    def mean(self, stage: str) -> float:
        """Return the mean seconds per run; 0 before the first run."""
        count, total = self.totals.get(stage, (0, 0.0))
        return total / count if count else 0.0
