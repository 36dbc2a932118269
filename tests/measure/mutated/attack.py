"""So many mutated cases at one door, some beside each other, and what came of them."""

from __future__ import annotations

import asyncio
from collections import Counter
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
        self.target = target
        self._door, self._seed = door, seed
        self._number = 0
        self._paused = False

    @property
    def count(self) -> int:
        """How many cases were looked at by the server."""
        return self.tried.total() - self.tried[TURNED_AWAY]

    @property
    def given_up(self) -> bool:
        """Whether there is harm enough to look into."""
        return len(self.harm) >= self.MOST_HARM

    async def run(self, count: int) -> None:
        """Try so many in all, or until it is told to pause."""
        self._paused = False
        async with asyncio.TaskGroup() as group:
            for _ in range(self._door.at_once):
                group.create_task(self._knock(count))

    def pause(self) -> None:
        """Let `run` return when what was begun is over."""
        self._paused = True

    async def _knock(self, count: int) -> None:
        while self.count < count and not self.given_up and not self._paused:
            self._number += 1
            number = self._number
            try:
                await self._try(number)
            except (HarmError, TimeoutError, OSError) as error:
                self.harm.append(f"{self._door.name} {number}: {type(error).__name__} {error}")

    async def _try(self, number: int) -> None:
        random = Random(f"{self._seed} {self._door.name} {number}")
        self.tried += await self._door.knock(self.target, Mutator(random))
