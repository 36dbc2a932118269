"""Placement of sessions on workers: pure decisions, shared by the gateway and the simulator.

Views are slightly stale, and several gateways decide at once. If each asked the emptiest worker of its stale view, all
would ask the same one (a herd). The better of two randomly chosen workers is nearly as good and avoids the herd
(Mitzenmacher, "The power of two choices in randomized load balancing", 2001). The worker makes the final decision.

A session with a key is placed on one of the first few workers in an order that depends on the key (rendezvous hashing:
Thaler and Ravishankar, 1998), so that any gateway finds it without a table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from random import Random

from streamer.cluster.messages import Report, View

MOST_ASKED = 8  # workers asked for one session
STICKY = 4  # first workers in a key's order, one of which has its session

Policy = Callable[[Sequence[Report], Random], int]  # workers, least loaded first -> index of the chosen one


def two_choices(workers: Sequence[Report], random: Random) -> int:
    """Choose the less loaded of two random workers."""
    return min(random.sample(range(len(workers)), min(2, len(workers))), key=lambda number: workers[number].burden)


def least_burdened(workers: Sequence[Report], random: Random) -> int:
    """Choose the least loaded worker: with stale views, this causes a herd."""
    return 0


def any_of_them(workers: Sequence[Report], random: Random) -> int:
    """Choose a random worker."""
    return random.randrange(len(workers))


class Search:
    """Sequence of workers to ask for a place, until one has it."""

    def __init__(self, view: View, key: str | None, random: Random, policy: Policy = two_choices) -> None:
        """`key`: the session's key, or None."""
        self._random, self._policy, self._key = random, policy, key
        if key is None:
            self._left = list(view.able)
            self._asks = MOST_ASKED
        else:  # full workers, too: one may hold the key's open session, which the new one replaces
            self._left = [worker for worker in by_key(key, view.workers) if worker.open][:STICKY]
            self._asks = STICKY

    def next(self) -> Report | None:
        """Return the next worker to ask, or None when the search ends."""
        if not self._left or not self._asks:
            return None
        self._asks -= 1
        return self._left.pop(0 if self._key is not None else self._policy(self._left, self._random))


def by_key(key: str, workers: Iterable[Report]) -> list[Report]:
    """Return all workers in the order of this key (rendezvous hashing), draining ones last."""
    return sorted(workers, key=lambda worker: (worker.draining, _rank(key, worker.worker)))


def _rank(key: str, worker: str) -> bytes:
    return hashlib.blake2b(f"{worker} {key}".encode(), digest_size=8).digest()
