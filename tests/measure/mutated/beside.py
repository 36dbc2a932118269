"""The canary as whoever attacks a server sees it: a process, and what it told, second by second."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

HEARD = 49  # packets of a second that is as it should be, of 50; a second has one more or less
Told = dict[str, Any]


class Canary:
    """A caller beside an attack. location: its session's address; token: that it has."""

    def __init__(self, process: asyncio.subprocess.Process, location: str, token: str | None) -> None:
        self.location, self.token = location, token
        self.seconds: list[Told] = []
        self._process = process

    @property
    def alive(self) -> bool:
        """Whether its call goes on."""
        return self._process.returncode is None and not (self.seconds and self.seconds[-1]["ended"])

    async def listen(self) -> None:
        """Note what it tells, until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.seconds.append(json.loads(line))

    def told(self, since: float, until: float = float("inf")) -> Told:
        """How it fared between two monotonic moments: sound and pictures a second, the seconds with all their sound."""
        found = [each for each in self.seconds if since + 0.5 < each["moment"] < until + 0.5]
        found = found or [{"packets": 0, "pictures": 0}]
        count = len(found)
        return {
            "seconds": count,
            "packets": round(sum(each["packets"] for each in found) / count, 1),
            "pictures": round(sum(each["pictures"] for each in found) / count, 1),
            "least": [min(each["packets"] for each in found), min(each["pictures"] for each in found)],
            "whole": f"{100 * sum(each['packets'] >= HEARD - 1 for each in found) / count:.0f} %",
            "alive": self.alive,
        }


@asynccontextmanager
async def canary(url: str, token: str | None) -> AsyncIterator[Canary]:
    """One that has been heard already."""
    command = [sys.executable, "-m", "tests.measure.mutated.canary", url, *([] if token is None else [token])]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    found = Canary(process, (await process.stdout.readline()).decode().strip(), token)
    listening = asyncio.create_task(found.listen())
    try:
        async with asyncio.timeout(60):
            while not any(second["packets"] for second in found.seconds):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        await asyncio.sleep(3.0)
        yield found
    finally:
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself, which is told
            process.terminate()
        await process.wait()
        await listening
