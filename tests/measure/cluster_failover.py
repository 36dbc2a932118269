"""Seconds without a moving face when a worker dies: `python -m tests.measure.cluster_failover --kills 10`.

Three workers on this machine, a gateway, and two callers that do what the page does: ask the session's address once a
second, call again a second after it is not known any more or nothing has come for three. Of the workers that have a
caller one is killed, all its processes at once (SIGKILL); another one takes its place.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import statistics
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import aiohttp
import psutil

from engines import SHIPPED_FAMILY
from streamer.cluster.gateway_server import GatewayOptions, gateway
from streamer.cluster.nodes.worker_main import WorkerSettings
from streamer.cluster.nodes.worker_process import WorkerProcess, new_name
from streamer.cluster.signed import Signer
from streamer.core.errors import SessionError
from streamer.measure.caller import Caller
from streamer.measure.onsets import vowels
from streamer.server.options import ServeOptions
from streamer.webrtc.ice import LOOPBACK, offer_only
from tests.fakes.cluster import LocalDirectory
from tests.waiting import eventually

SIGNER = Signer(b"secret")
ASK_S, SILENT_S, RETRY_S = 1.0, 3.0, 1.0  # clients/web/call.js
MOVING = 3  # pictures
PATIENCE_S = 120.0


class House(LocalDirectory):
    """Real workers, and the view of them."""

    def __init__(self, family: Path) -> None:
        super().__init__([])
        self.running: list[WorkerProcess] = []
        self._family = family

    async def start(self) -> None:
        """One worker more."""
        options = ServeOptions(port=0, family=self._family, max_sessions=2, threads=1, photos=False)
        settings = WorkerSettings(new_name("w"), "here", SIGNER.pass_word, options)
        self.running.append(await asyncio.to_thread(WorkerProcess, settings))

    async def follow(self) -> None:
        """Look twice a second, as a gateway does."""
        while True:
            for worker in list(self.running):
                with contextlib.suppress(OSError):
                    self.board.take(await asyncio.to_thread(worker.report))
            self.view = self.board.view()
            await asyncio.sleep(0.5)


class Page:
    """A caller that calls again. `worker`: where it is; `gaps`: seconds between pictures across two calls."""

    def __init__(self, url: str) -> None:
        self.worker = ""
        self.gaps: list[float] = []
        self.repeated = 0  # pictures, by the server's count
        self._url = url
        self._last = 0.0

    async def run(self) -> None:
        """For ever."""
        while True:
            with contextlib.suppress(SessionError, aiohttp.ClientError):
                async with Caller(self._url, vowels(600.0)) as caller:
                    await self._talk(caller)
            self.worker = ""
            await asyncio.sleep(RETRY_S)

    async def _talk(self, caller: Caller) -> None:
        asked = time.monotonic()
        heard, count = asked, 0
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ASK_S)) as http:
            while True:
                await asyncio.sleep(0.02)
                found, now = len(caller.recording.pictures), time.monotonic()
                if found > count:
                    heard = now
                    if count < MOVING <= found:
                        if self._last:
                            self.gaps.append(now - self._last)
                        self.worker = caller.location.rpartition("/")[2].partition(".")[0]
                    count = found
                    if self.worker:
                        self._last = now
                if caller.ended or now - heard > SILENT_S:
                    return
                if now - asked >= ASK_S:
                    asked = now
                    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                        async with http.get(caller.location) as response:
                            if response.status == 404:
                                return
                            self.repeated = (await response.json())["repeated"]


def has_more(values: list[float], count: int) -> bool:
    """Whether there are more than so many."""
    return len(values) > count


def kill(worker: WorkerProcess) -> None:
    """Without a word, all of it."""
    tree = psutil.Process(worker.process.pid)
    for process in [tree, *tree.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    worker.process.wait(10)


@contextlib.asynccontextmanager
async def running(family: Path) -> AsyncIterator[tuple[House, str]]:
    """Three workers and a gateway."""
    house = House(family)
    await asyncio.gather(*(house.start() for _ in range(3)))
    following = asyncio.create_task(house.follow())
    try:
        async with gateway(GatewayOptions(port=0), house, SIGNER) as url:
            yield house, url
    finally:
        following.cancel()
        for worker in house.running:
            worker.stop()


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--engines", type=Path, default=SHIPPED_FAMILY)
    args = parser.parse_args()
    offer_only(LOOPBACK)
    async with running(args.engines) as (house, url), asyncio.TaskGroup() as group:
        pages = [Page(url) for _ in range(2)]
        tasks = [group.create_task(page.run()) for page in pages]
        gaps: list[float] = []
        for number in range(args.kills):
            await eventually(lambda: all(page.worker for page in pages), PATIENCE_S)
            await asyncio.sleep(2)
            victim, other = (pages[number % 2], pages[1 - number % 2])
            before, repeated = len(victim.gaps), other.repeated
            name = victim.worker
            [worker] = [each for each in house.running if each.report().worker == name]
            house.running.remove(worker)
            kill(worker)
            await eventually(partial(has_more, victim.gaps, before), PATIENCE_S)
            gaps.append(victim.gaps[-1])
            await asyncio.sleep(1.2)
            print(f"{gaps[-1]:.1f} s; the other's repeated pictures: {other.repeated - repeated}", flush=True)
            await house.start()
        for task in tasks:
            task.cancel()
    print(f"{len(gaps)} kills: median {statistics.median(gaps):.1f} s, worst {max(gaps):.1f} s")


if __name__ == "__main__":
    asyncio.run(main())
