"""A gateway's view of the cluster: polled from the controller twice a second, and kept while it does not answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from streamer.cluster.messages import Report, View
from streamer.cluster.nodes.ray_actors import find_controller
from streamer.core.aio import Clock

LOOK_S = 0.5
CALL_S = 2.0
MOST_REMEMBERED = 1_000  # workers
HIDDEN_S = 3.0  # for which an unreachable worker is left out of the view, even if the controller still lists it


class RayDirectory:
    """`admission.Directory` backed by the controller. `stopping`: set when the cluster is being stopped."""

    def __init__(self, clock: Clock) -> None:
        self.stopping = asyncio.Event()
        self._clock = clock
        self._known = View()
        self._remembered: dict[str, Report] = {}  # most recently seen last
        self._lost: dict[str, float] = {}  # time of loss by worker
        self._controller: Any = find_controller()
        self._telling: set[asyncio.Task[Any]] = set()

    @property
    def view(self) -> View:
        """Last view from the controller, without the workers lost recently."""
        since = self._clock.now() - HIDDEN_S
        self._lost = {worker: moment for worker, moment in self._lost.items() if moment > since}
        if not self._lost:
            return self._known
        return View(tuple(each for each in self._known.workers if each.worker not in self._lost), self._known.waiting)

    def find(self, worker: str) -> Report | None:
        """Return the last report of a worker, even if it has left the view."""
        return self._remembered.get(worker)

    def lost(self, worker: str) -> None:
        """Remove a worker from the view, and from the controller's board for the other gateways."""
        self._lost[worker] = self._clock.now()
        task = asyncio.create_task(self._call("forget", None, worker))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def has_turn(self, ticket: str | None) -> bool:
        """Return whether a caller may be admitted now; True while the controller does not answer."""
        return bool(await self._call("has_turn", True, ticket))

    async def wait(self, ticket: str, address: str) -> int | None:
        """Take or keep a place in line; return it, or None if the controller does not answer or the line is full."""
        place: int | None = await self._call("wait", None, ticket, address)
        return place

    async def leave(self, ticket: str) -> None:
        """Remove an admitted caller from the waiting line."""
        await self._call("leave", None, ticket)

    @contextlib.asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Poll the controller while the context lasts."""
        await self._look()
        task = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            task.cancel()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            await self._look()

    async def _look(self) -> None:
        if (told := await self._call("view", None)) is not None:
            self._known, stopping = msgspec.json.decode(told, type=tuple[View, bool])
            for report in self._known.workers:
                self._remembered.pop(report.worker, None)
                self._remembered[report.worker] = report
            while len(self._remembered) > max(MOST_REMEMBERED, len(self._known.workers)):
                del self._remembered[next(iter(self._remembered))]
            if stopping:
                self.stopping.set()

    async def _call(self, method: str, otherwise: Any, *arguments: Any) -> Any:
        """Call a method of the controller; return `otherwise` if it does not answer."""
        try:
            async with asyncio.timeout(CALL_S):
                return await getattr(self._controller, method).remote(*arguments)
        except Exception:  # it is restarting, or its node is gone: gateways continue with the last view
            return otherwise
