"""State of the whole cluster: the workers' reports, drained workers and nodes, and the waiting line. No I/O."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from streamer.cluster.messages import Report, View
from streamer.core.aio import Clock
from streamer.server.admission.waiting_line import WaitingLine

STALE_S = 3.0  # without a report, after which the worker or its node counts as dead
MOST_WAITING = 4096  # tickets


class Board:
    """State of one cluster. It starts empty and is complete once every worker has reported."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._reports: dict[str, tuple[float, Report]] = {}
        self._drained: set[str] = set()  # names of workers and nodes
        self.line = WaitingLine(clock, MOST_WAITING)

    def take(self, report: Report) -> bool:
        """Store a worker's report; return whether the worker must be drained."""
        drained = report.draining or bool({report.worker, report.node} & self._drained)
        if drained and not report.draining:
            report = msgspec.structs.replace(report, draining=True)
        self._reports[report.worker] = (self._clock.now(), report)
        return drained

    def forget(self, worker: str) -> None:
        """Remove a worker that has ended."""
        self._reports.pop(worker, None)

    def drain(self, name: str) -> list[str]:
        """Mark a worker, or all workers of a node, for draining; return the workers' names."""
        found = [report.worker for report in self.view().workers if name in (report.worker, report.node)]
        if found:
            self._drained.add(name)
        return found

    def emptied(self) -> list[str]:
        """Return workers without sessions that were drained individually, not with their node."""
        reports = (report for _, report in self._reports.values())
        drained = (each for each in reports if each.worker in self._drained and each.node not in self._drained)
        return [report.worker for report in drained if report.draining and not report.sessions]

    def view(self) -> View:
        """Return the workers whose report is not stale, and the length of the waiting line."""
        since = self._clock.now() - STALE_S
        self._reports = {name: known for name, known in self._reports.items() if known[0] >= since}
        return View(tuple(report for _, report in self._reports.values()), len(self.line))

    def has_turn(self, ticket: str | None) -> bool:
        """Return whether a caller may be admitted now: nobody is ahead of it, or enough places are free."""
        ahead = self.line.ahead_of(ticket)
        return ahead == 0 or ahead < free(report for _, report in self._reports.values())

    def wait(self, ticket: str, address: str) -> int | None:
        """See `WaitingLine.wait`."""
        return self.line.wait(ticket, address)


def free(workers: Iterable[Report]) -> int:
    """Return the number of free places on workers that accept sessions."""
    return sum(report.free for report in workers if report.open)
