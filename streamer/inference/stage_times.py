"""Time spent in each stage."""

from __future__ import annotations

from streamer.core.histogram import STAGE_S, Histogram


class StageTimes:
    """How often each stage ran, and for how long in all."""

    def __init__(self) -> None:
        self.totals: dict[str, tuple[int, float]] = {}
        self.latencies: dict[str, Histogram] = {}

    def add(self, stage: str, times: int, seconds: float) -> None:
        """Count `times` runs that took `seconds` together."""
        count, total = self.totals.get(stage, (0, 0.0))
        self.totals[stage] = (count + times, total + seconds)
        if times:
            self.latencies.setdefault(stage, Histogram(STAGE_S)).note(seconds / times, times)

    def mean(self, stage: str) -> float:
        """Seconds that a run takes; 0 before the first."""
        count, total = self.totals.get(stage, (0, 0.0))
        return total / count if count else 0.0
