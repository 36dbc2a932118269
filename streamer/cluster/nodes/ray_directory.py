"""What a gateway knows of the cluster, from the controller: asked twice a second, and kept while it cannot be."""

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
HIDDEN_S = 3.0  # for which a worker that could not be reached is left out, if it is known still


class RayDirectory:
    """See `admission.Directory`. `stopping`: set when the cluster is stopped."""

    def __init__(self, clock: Clock) -> None:
        self.stopping = asyncio.Event()
        self._clock = clock
        self._known = View()
        self._remembered: dict[str, Report] = {}  # those seen last at the end
        self._lost: dict[str, float] = {}  # since when
        self._controller: Any = find_controller()
        self._telling: set[asyncio.Task[Any]] = set()

    @property
    def view(self) -> View:
        """The workers, as they were told last."""
        since = self._clock.now() - HIDDEN_S
        self._lost = {worker: moment for worker, moment in self._lost.items() if moment > since}
        if not self._lost:
            return self._known
        return View(tuple(each for each in self._known.workers if each.worker not in self._lost), self._known.waiting)

    def find(self, worker: str) -> Report | None:
        """Where a worker is or was."""
        return self._remembered.get(worker)

    def lost(self, worker: str) -> None:
        """Leave a worker out, and tell the other gateways."""
        self._lost[worker] = self._clock.now()
        task = asyncio.create_task(self._call("forget", None, worker))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def has_turn(self, ticket: str | None) -> bool:
        """Whether a caller need not wait for those before it; yes, while nobody knows."""
        return bool(await self._call("has_turn", True, ticket))

    async def wait(self, ticket: str, address: str) -> int | None:
        """Take or keep a place in line; none, while there is no line."""
        place: int | None = await self._call("wait", None, ticket, address)
        return place

    async def leave(self, ticket: str) -> None:
        """Whoever has come in waits no more."""
        await self._call("leave", None, ticket)

    @contextlib.asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Keep the view fresh while the context lasts."""
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
        """Ask the controller; what holds otherwise, where it does not answer."""
        try:
            async with asyncio.timeout(CALL_S):
                return await getattr(self._controller, method).remote(*arguments)
        except Exception:  # it is being started anew, or its node is gone: gateways go on with what they know
            return otherwise
