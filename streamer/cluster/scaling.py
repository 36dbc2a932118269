"""The target number of workers: as many as fit on the nodes, or as many as callers need. No I/O.

Each worker demands Ray resources; the demand is pending while no machine has them. On a cluster that can grow, Ray's
autoscaler adds machines for pending demands, and removes idle machines.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from streamer.cluster.messages import View
from streamer.core.aio import Clock

SPARE = 0.2  # free places to keep, as a share of those taken: a new machine takes a minute or more to start
SHRINK_S = 300.0  # for which there must have been too many workers before one is removed


@dataclass(frozen=True)
class Share:
    """Resources of a machine that one worker needs. `gpus` may be a fraction."""

    cores: int = 1
    gpus: float = 0.0

    @property
    def demand(self) -> dict[str, float]:
        """The demand as Ray resources."""
        return {"GPU": self.gpus} if self.gpus else {CORES: float(self.cores)}


CORES = "avatar_cores"  # a custom resource of a node; Ray's own CPU resource is not used


def fitting(share: Share, nodes: Iterable[Mapping[str, float]]) -> int:
    """Return the number of workers that fit on nodes with these resources."""
    [(name, amount)] = share.demand.items()
    return sum(math.floor(node.get(name, 0.0) / amount + 1e-9) for node in nodes)


def actor_of(worker: str) -> str:
    """Return the name of a worker's actor: the worker's name without its suffix, which is new at each start."""
    return worker.rpartition("-")[0]


def too_many(actors: Iterable[str], wanted: int, view: View) -> list[str]:
    """Return the surplus actors: first those without reports, which wait for a node, then the least busy."""
    sessions = {actor_of(worker.worker): worker.sessions for worker in view.workers}
    idlest = sorted(actors, key=lambda actor: (sessions.get(actor, -1), actor))
    return idlest[: max(0, len(idlest) - wanted)]


class Scaler:
    """Autoscaler: the number of workers that callers need, between `least` and `most`; it falls only after a delay."""

    def __init__(self, least: int, most: int, clock: Clock) -> None:
        self._least, self._most = least, most
        self._clock = clock
        self._wanted = least
        self._since = clock.now()  # since when more workers are wanted than needed

    def wanted(self, view: View) -> int:
        """Update from a view of the cluster; return the target number of workers."""
        ready = [worker for worker in view.workers if worker.open]
        sessions = sum(worker.sessions for worker in view.workers)
        each = sum(worker.places for worker in ready) / len(ready) if ready else 0.0
        needed = max(self._least, min(1, view.waiting))  # the places per worker are unknown without one
        if each:
            needed = math.ceil((sessions + view.waiting) * (1 + SPARE) / each - 1e-9)
        needed = max(self._least, min(self._most, needed))
        if needed >= self._wanted:
            self._wanted, self._since = needed, self._clock.now()
        elif self._clock.now() - self._since >= SHRINK_S:
            self._wanted, self._since = self._wanted - 1, self._clock.now()
        return self._wanted
