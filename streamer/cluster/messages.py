"""Messages between workers, the controller and gateways."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import msgspec


class Report(msgspec.Struct, frozen=True):
    """State of a worker.

    worker: its name, a new one at each start. url: address of its server for gateways; ends with a slash.
    places: current session limit; free: places that can be reserved.
    slack: 95th percentile of its pictures' lateness, in frames of 40 ms; above 0, pictures are late.
    """

    worker: str
    url: str = ""
    node: str = ""
    ready: bool = False
    draining: bool = False
    places: int = 0
    free: int = 0
    sessions: int = 0
    slack: float = 0.0

    @property
    def open(self) -> bool:
        """Whether it accepts new sessions while places are free."""
        return self.ready and not self.draining

    @property
    def burden(self) -> tuple[bool, float, float]:
        """Load as a sort key; lower is better. A worker with late pictures ranks behind all others."""
        return self.slack > 0, 1 - self.free / max(1, self.places), self.slack


@dataclass(frozen=True)
class View:
    """Recent reports of all workers, and the number of callers waiting in line."""

    workers: tuple[Report, ...] = ()
    waiting: int = 0

    def find(self, worker: str) -> Report | None:
        """Return the report of this worker, or None if it is unknown."""
        return self._named.get(worker)

    @cached_property
    def able(self) -> tuple[Report, ...]:
        """Workers that accept sessions and have a free place, least loaded first."""
        return tuple(
            sorted((each for each in self.workers if each.open and each.free > 0), key=lambda each: each.burden)
        )

    @cached_property
    def _named(self) -> dict[str, Report]:
        return {report.worker: report for report in self.workers}
