"""Admission of callers at a gateway: choose a worker, reserve a place there, or join the waiting line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Protocol

from streamer.cluster.messages import Report, View
from streamer.cluster.placement import Policy, Search, two_choices
from streamer.core.aio import Clock
from streamer.server.admission.places import NoRoomError

Reserve = Callable[[Report, Mapping[str, str]], Awaitable[str | None]]
PATIENCE_S = 8.0  # for which a caller is held while no worker answers; pages wait 20 s for a response
RETRY_S = 0.25
MOST_HELD = 256  # callers held at a time
FULL = "all places are taken"
NOBODY = "no worker is ready"


class Directory(Protocol):
    """A gateway's access to the cluster: a recent view of the workers, and the waiting line."""

    @property
    def view(self) -> View:
        """Recent view of the cluster; returned without I/O."""

    def find(self, worker: str) -> Report | None:
        """Return the last report of a worker, even if it is stale: sessions there may continue nonetheless."""

    def lost(self, worker: str) -> None:
        """Remove an unreachable worker from the view until it reports again."""

    async def has_turn(self, ticket: str | None) -> bool:
        """Return whether a caller may be admitted now, ahead of any others in line."""

    async def wait(self, ticket: str, address: str) -> int | None:
        """Take or keep a place in line; return its number from 1, or None if the line is full."""

    async def leave(self, ticket: str) -> None:
        """Remove an admitted caller from the waiting line."""


class Admission:
    """Admission of one gateway.

    reserve: asks a worker for a place, for a session with a `key` of its `owner`; returns None if it has none. Raises
    TimeoutError if the worker does not answer, which may be temporary, and another OSError if it is unreachable.
    patience_s: how long a caller is held while workers are starting or too busy to answer.
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
        """Reserve a place; return the worker and the reservation's name.

        Raises:
            NoRoomError: no place is free, or other callers wait for it; holds the caller's place in line if it has a
                ticket.
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
        """Whether workers accept sessions but none has a free place, so that a short wait does not help."""
        ready = [worker for worker in self._directory.view.workers if worker.open]
        return bool(ready) and not any(worker.free for worker in ready)

    async def _try(self, key: str | None, query: Mapping[str, str]) -> tuple[tuple[Report, str] | None, bool]:
        """Ask workers for a place until one has it; return it, and whether workers were reached and all answered."""
        search = Search(self._directory.view, key, self._random, self._policy)
        refused = silent = False
        while (worker := search.next()) is not None:
            try:
                reservation = await self._reserve(worker, query)
            except TimeoutError:
                silent = True  # not reported as lost: its sessions may continue
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
