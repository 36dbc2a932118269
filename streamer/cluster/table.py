"""Format the table of `avatar cluster status`."""

from __future__ import annotations

from streamer.cluster.board import free
from streamer.cluster.messages import Report, View

HEADINGS = ("worker", "node", "state", "sessions", "free", "places", "slack", "address")


def table(view: View) -> str:
    """Return the table: one line per worker, and a line of totals."""
    rows = [HEADINGS, *(_row(worker) for worker in sorted(view.workers, key=lambda each: (each.node, each.worker)))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    sessions = sum(worker.sessions for worker in view.workers)
    lines.append(
        f"{len(view.workers)} workers, {sessions} sessions, {free(view.workers)} places free, {view.waiting} wait"
    )
    return "\n".join(lines)


def _row(worker: Report) -> tuple[str, ...]:
    state = "draining" if worker.draining else "ready" if worker.ready else "starting"
    counts = (str(count) for count in (worker.sessions, worker.free, worker.places))
    return (worker.worker, worker.node, state, *counts, f"{worker.slack:+.1f}", worker.url)
