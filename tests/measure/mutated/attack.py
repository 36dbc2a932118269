"""So many mutated cases at one door, some beside each other, and what came of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random

from tests.measure.mutated.doors import Door
from tests.measure.mutated.exchange import HarmError, Target
from tests.measure.mutated.mutator import Mutator

TURNED_AWAY = "turned away"


class Attack:
    """Of one door. tried: cases by answer; harm: the first of those that did harm, each with its number."""

    MOST_HARM = 20

    def __init__(self, door: Door, target: Target, seed: int) -> None:
        self.tried: Counter[str] = Counter()
        self.harm: list[str] = []
        self._door, self._target, self._seed = door, target, seed
        self._number = 0

    @property
    def count(self) -> int:
        """How many cases were looked at by the server."""
        return self.tried.total() - self.tried[TURNED_AWAY]

    async def run(self, count: int, enough: Callable[[], bool] = lambda: False) -> None:
        """Try so many, but no more once it is `enough`."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._door.at_once):
                group.create_task(self._knock(count, enough))

    async def _knock(self, count: int, enough: Callable[[], bool]) -> None:
        while self.count < count and len(self.harm) < self.MOST_HARM and not enough():
            self._number += 1
            number = self._number
            try:
                await self._try(number)
            except (HarmError, TimeoutError, OSError) as error:
                self.harm.append(f"{self._door.name} {number}: {type(error).__name__} {error}")

    async def _try(self, number: int) -> None:
        random = Random(f"{self._seed} {self._door.name} {number}")
        self.tried += await self._door.knock(self._target, Mutator(random))
