"""A gateway finds a place for a caller: choose a worker, reserve there, or stand in line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Protocol

from streamer.cluster.messages import Report, View
from streamer.cluster.placement import Policy, Search, two_choices
from streamer.server.admission.places import NoRoomError

Reserve = Callable[[Report, Mapping[str, str]], Awaitable[str | None]]
FULL = "all places are taken"


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
    """

    def __init__(self, directory: Directory, reserve: Reserve, random: Random, policy: Policy = two_choices) -> None:
        self._directory = directory
        self._reserve = reserve
        self._random = random
        self._policy = policy

    async def place(self, key: str | None, ticket: str | None, address: str, owner: str = "") -> tuple[Report, str]:
        """Reserve a place: the worker, and the reservation's name.

        Raises:
            NoRoomError: there is none, or others wait for it; with the caller's place in line, where it has a ticket.
        """
        if not self._directory.view.waiting or await self._directory.has_turn(ticket):
            query = {} if key is None else {"key": key, "owner": owner}
            search = Search(self._directory.view, key, self._random, self._policy)
            while (worker := search.next()) is not None:
                try:
                    reservation = await self._reserve(worker, query)
                except TimeoutError:
                    continue  # those who talk there are not given up
                except OSError:
                    self._directory.lost(worker.worker)
                    continue
                if reservation is not None:
                    if ticket is not None and self._directory.view.waiting:
                        await self._directory.leave(ticket)
                    return worker, reservation
        if ticket is None or (place := await self._directory.wait(ticket, address)) is None:
            raise NoRoomError(f"{FULL}; try again in a moment")
        raise NoRoomError(f"{FULL}; you are number {place} in line", place)
