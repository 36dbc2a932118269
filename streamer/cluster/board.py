"""What is known of the whole cluster at one place: the workers' reports, who is drained, who waits. No I/O."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from streamer.cluster.messages import Report, View
from streamer.core.aio import Clock
from streamer.server.admission.waiting_line import WaitingLine

STALE_S = 3.0  # without a report: the worker is gone, or its node
MOST_WAITING = 4096  # tickets


class Board:
    """Of one cluster. It begins empty, and is whole again when every worker has reported once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._reports: dict[str, tuple[float, Report]] = {}
        self._drained: set[str] = set()  # names of workers and nodes
        self.line = WaitingLine(clock, MOST_WAITING)

    def take(self, report: Report) -> bool:
        """Take a worker's report; return whether it is to be drained."""
        drained = report.draining or bool({report.worker, report.node} & self._drained)
        if drained and not report.draining:
            report = msgspec.structs.replace(report, draining=True)
        self._reports[report.worker] = (self._clock.now(), report)
        return drained

    def forget(self, worker: str) -> None:
        """A worker has ended."""
        self._reports.pop(worker, None)

    def drain(self, name: str) -> list[str]:
        """Drain the worker of this name, or all of this node; return their names."""
        found = [report.worker for report in self.view().workers if name in (report.worker, report.node)]
        if found:
            self._drained.add(name)
        return found

    def emptied(self) -> list[str]:
        """Workers that were drained by themselves, not with their node, and where nobody talks any more."""
        reports = (report for _, report in self._reports.values())
        drained = (each for each in reports if each.worker in self._drained and each.node not in self._drained)
        return [report.worker for report in drained if report.draining and not report.sessions]

    def view(self) -> View:
        """All workers that reported lately, and how many wait."""
        since = self._clock.now() - STALE_S
        self._reports = {name: known for name, known in self._reports.items() if known[0] >= since}
        return View(tuple(report for _, report in self._reports.values()), len(self.line))

    def has_turn(self, ticket: str | None) -> bool:
        """Whether a caller need not wait for those before it."""
        ahead = self.line.ahead_of(ticket)
        return ahead == 0 or ahead < free(report for _, report in self._reports.values())

    def wait(self, ticket: str, address: str) -> int | None:
        """See `WaitingLine.wait`."""
        return self.line.wait(ticket, address)


def free(workers: Iterable[Report]) -> int:
    """How many places are free."""
    return sum(report.free for report in workers if report.open)
