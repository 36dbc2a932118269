"""What workers, the controller and gateways tell each other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import msgspec


class Report(msgspec.Struct, frozen=True):
    """How a worker is.

    worker: its name, another one with each start. url: where gateways reach its server; ends with a slash.
    places: how many sessions there may be now; free: how many of them may be reserved.
    slack: the 95th percentile of its pictures' lateness, in frames of 40 ms; above 0, pictures come late.
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
        """Whether it takes new sessions, if it has room."""
        return self.ready and not self.draining

    @property
    def burden(self) -> tuple[bool, float, float]:
        """How much it has to do; the least is best. One whose pictures come late is worse than any other."""
        return self.slack > 0, 1 - self.free / max(1, self.places), self.slack


@dataclass(frozen=True)
class View:
    """All workers, as they were a moment ago, and how many callers wait in line."""

    workers: tuple[Report, ...] = ()
    waiting: int = 0

    def find(self, worker: str) -> Report | None:
        """The worker of this name."""
        return self._named.get(worker)

    @cached_property
    def able(self) -> tuple[Report, ...]:
        """Those that take a session and have room for it, the least burdened first."""
        return tuple(
            sorted((each for each in self.workers if each.open and each.free > 0), key=lambda each: each.burden)
        )

    @cached_property
    def _named(self) -> dict[str, Report]:
        return {report.worker: report for report in self.workers}
