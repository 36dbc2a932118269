"""How many workers there should be: as many as fit, or as many as callers need. No I/O.

Each worker is a demand for Ray's resources, pending where no machine has them: on a cluster that can grow, Ray's own
autoscaler answers pending demands with machines, and takes idle machines away.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from streamer.cluster.messages import View
from streamer.core.aio import Clock

SPARE = 0.2  # of the places taken, that are kept free: a machine takes a minute or more to come
SHRINK_S = 300.0  # for which there must have been too many, before one goes


@dataclass(frozen=True)
class Share:
    """What one worker needs of a machine, as Ray names it. `gpus` may be a fraction."""

    cores: int = 1
    gpus: float = 0.0

    @property
    def demand(self) -> dict[str, float]:
        """As Ray counts it."""
        return {"GPU": self.gpus} if self.gpus else {CORES: float(self.cores)}


CORES = "avatar_cores"  # a node's own resource: Ray's CPUs are left to Ray


def fitting(share: Share, nodes: Iterable[Mapping[str, float]]) -> int:
    """How many workers fit on nodes with these resources."""
    [(name, amount)] = share.demand.items()
    return sum(math.floor(node.get(name, 0.0) / amount + 1e-9) for node in nodes)


def actor_of(worker: str) -> str:
    """The actor that a worker is: the worker's name has another end with each start."""
    return worker.rpartition("-")[0]


def too_many(actors: Iterable[str], wanted: int, view: View) -> list[str]:
    """Which actors are to end: those of whom nothing is heard, as they wait for a node, then the least busy."""
    sessions = {actor_of(worker.worker): worker.sessions for worker in view.workers}
    idlest = sorted(actors, key=lambda actor: (sessions.get(actor, -1), actor))
    return idlest[: max(0, len(idlest) - wanted)]


class Scaler:
    """How many workers callers need, between `least` and `most`; fewer only after a while."""

    def __init__(self, least: int, most: int, clock: Clock) -> None:
        self._least, self._most = least, most
        self._clock = clock
        self._wanted = least
        self._since = clock.now()  # that more were wanted than are needed

    def wanted(self, view: View) -> int:
        """Look at the cluster; return how many there should be."""
        ready = [worker for worker in view.workers if worker.open]
        sessions = sum(worker.sessions for worker in view.workers)
        each = sum(worker.places for worker in ready) / len(ready) if ready else 0.0
        needed = max(self._least, min(1, view.waiting))  # how many each holds is known once there is one
        if each:
            needed = math.ceil((sessions + view.waiting) * (1 + SPARE) / each - 1e-9)
        needed = max(self._least, min(self._most, needed))
        if needed >= self._wanted:
            self._wanted, self._since = needed, self._clock.now()
        elif self._clock.now() - self._since >= SHRINK_S:
            self._wanted, self._since = self._wanted - 1, self._clock.now()
        return self._wanted
