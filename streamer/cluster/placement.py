"""Which worker is to have a session: pure decisions, the same in a gateway and in the simulator.

Views are a moment old, and several gateways decide at once. Whoever asks the emptiest worker of a stale view asks it
together with everybody else; of two workers chosen at random, the better one is nearly as good, and no herd forms
(Mitzenmacher, "The power of two choices in randomized load balancing", 2001). The worker itself has the last word.

A session with a key belongs near its key: to one of the few workers that come first in the key's own order of all
workers (rendezvous hashing: Thaler and Ravishankar, 1998), so that any gateway finds it without a table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from random import Random

from streamer.cluster.messages import Report, View

MOST_ASKED = 8  # workers, for one session
STICKY = 4  # workers, of which one has the session with a key

Policy = Callable[[Sequence[Report], Random], int]  # of workers, the least burdened first: the number of one


def two_choices(workers: Sequence[Report], random: Random) -> int:
    """The better of two."""
    return min(random.sample(range(len(workers)), min(2, len(workers))), key=lambda number: workers[number].burden)


def least_burdened(workers: Sequence[Report], random: Random) -> int:
    """The best of all: a herd, where views are old."""
    return 0


def any_of_them(workers: Sequence[Report], random: Random) -> int:
    """Any."""
    return random.randrange(len(workers))


class Search:
    """The workers to be asked for a place, one after the other, until one has it."""

    def __init__(self, view: View, key: str | None, random: Random, policy: Policy = two_choices) -> None:
        """`key`: of a session that is found by it."""
        self._random, self._policy, self._key = random, policy, key
        if key is None:
            self._left = list(view.able)
            self._asks = MOST_ASKED
        else:  # a worker that is full still has room for the next session of a key that it holds
            self._left = [worker for worker in by_key(key, view.workers) if worker.open][:STICKY]
            self._asks = STICKY

    def next(self) -> Report | None:
        """Return the worker to be asked next; None when no more are to be."""
        if not self._left or not self._asks:
            return None
        self._asks -= 1
        return self._left.pop(0 if self._key is not None else self._policy(self._left, self._random))


def by_key(key: str, workers: Iterable[Report]) -> list[Report]:
    """All workers, those first that come first for this key; those that are being drained last."""
    return sorted(workers, key=lambda worker: (worker.draining, _rank(key, worker.worker)))


def _rank(key: str, worker: str) -> bytes:
    return hashlib.blake2b(f"{worker} {key}".encode(), digest_size=8).digest()
