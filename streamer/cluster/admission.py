"""A gateway finds a place for a caller: choose a worker, reserve there, or stand in line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Protocol

from streamer.cluster.messages import Report, View
from streamer.cluster.placement import Policy, Search, two_choices
from streamer.core.aio import Clock
from streamer.server.admission.places import NoRoomError

Reserve = Callable[[Report, Mapping[str, str]], Awaitable[str | None]]
PATIENCE_S = 8.0  # of a caller for whom nobody can be asked; pages wait 20 s for an answer
RETRY_S = 0.25
MOST_HELD = 256  # callers at a time
FULL = "all places are taken"
NOBODY = "no worker is ready"


class Directory(Protocol):
    """What a gateway knows of the cluster: a view that is a moment old, and the line of those who wait."""

    @property
    def view(self) -> View:
        """The workers; at no cost."""

    def find(self, worker: str) -> Report | None:
        """Where a worker is, or was last: also one of which nothing has been heard lately, as conversations there may
        go on nonetheless.
        """

    def lost(self, worker: str) -> None:
        """This worker cannot be reached: the view is to be without it, until it reports again."""

    async def has_turn(self, ticket: str | None) -> bool:
        """Whether a caller need not wait for those before it."""

    async def wait(self, ticket: str, address: str) -> int | None:
        """Take or keep a place in line: its number from 1, None where the line is too long."""

    async def leave(self, ticket: str) -> None:
        """Whoever has come in waits no more."""


class Admission:
    """Of one gateway.

    reserve: asks a worker for a place, for a session with a `key` of its `owner`; None where it has none. Raises
    TimeoutError when it does not answer, which may pass, and another OSError when it is not there.
    patience_s: for which a caller is held while nobody can be asked: workers begin, or are too busy to answer.
    """

    def __init__(
        self,
        directory: Directory,
        reserve: Reserve,
        random: Random,
        clock: Clock,
        patience_s: float = PATIENCE_S,
        policy: Policy = two_choices,
    ) -> None:
        self._directory = directory
        self._reserve = reserve
        self._random = random
        self._clock = clock
        self._patience_s = patience_s
        self._policy = policy
        self._held = 0

    async def place(self, key: str | None, ticket: str | None, address: str, owner: str = "") -> tuple[Report, str]:
        """Reserve a place: the worker, and the reservation's name.

        Raises:
            NoRoomError: there is none, or others wait for it; with the caller's place in line, where it has a ticket.
        """
        end = self._clock.now() + self._patience_s
        query = {} if key is None else {"key": key, "owner": owner}
        while not self._directory.view.waiting or await self._directory.has_turn(ticket):
            found, answered = await self._try(key, query)
            if found is not None:
                if ticket is not None and self._directory.view.waiting:
                    await self._directory.leave(ticket)
                return found
            if answered or self._is_full or self._held >= MOST_HELD or self._clock.now() >= end:
                break
            await self._hold()
        if ticket is None or (place := await self._directory.wait(ticket, address)) is None:
            raise NoRoomError(f"{FULL if self._is_full else NOBODY}; try again in a moment")
        raise NoRoomError(f"{FULL if self._is_full else NOBODY}; you are number {place} in line", place)

    @property
    def _is_full(self) -> bool:
        """Whether there are workers that take sessions, and no place: no moment changes that."""
        ready = [worker for worker in self._directory.view.workers if worker.open]
        return bool(ready) and not any(worker.free for worker in ready)

    async def _try(self, key: str | None, query: Mapping[str, str]) -> tuple[tuple[Report, str] | None, bool]:
        """Ask workers for a place until one has it; whether any were there, and all of them answered."""
        search = Search(self._directory.view, key, self._random, self._policy)
        refused = silent = False
        while (worker := search.next()) is not None:
            try:
                reservation = await self._reserve(worker, query)
            except TimeoutError:
                silent = True  # those who talk there are not given up
                continue
            except OSError:
                self._directory.lost(worker.worker)
                continue
            if reservation is not None:
                return (worker, reservation), True
            refused = True
        return None, refused and not silent

    async def _hold(self) -> None:
        self._held += 1
        try:
            await self._clock.sleep_until(self._clock.now() + RETRY_S)
        finally:
            self._held -= 1
