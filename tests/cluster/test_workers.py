"""Two real workers behind a gateway, as callers see and hear them; one dies, one is drained."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from streamer.cluster.gateway_server import GatewayOptions, gateway
from streamer.cluster.messages import Report
from streamer.cluster.nodes.worker_main import WorkerSettings
from streamer.cluster.nodes.worker_process import WorkerProcess, new_name
from streamer.cluster.signed import Signer
from streamer.core.errors import EngineError, SessionError
from streamer.measure.caller import Caller
from streamer.measure.onsets import vowels
from streamer.server.options import ServeOptions
from tests.fakes.cluster import LocalDirectory
from tests.waiting import eventually

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("loopback")]

SIGNER = Signer(b"secret")
PLACES = 1  # each caller decodes its pictures in this process


def start(family: Path, node: str) -> WorkerProcess:
    options = ServeOptions(port=0, family=family, max_sessions=PLACES, threads=1, photos=False)
    return WorkerProcess(WorkerSettings(new_name(node), node, SIGNER.pass_word, options))


@pytest.fixture
def pair(tiny_folder: Path) -> Iterator[list[WorkerProcess]]:
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda node: start(tiny_folder, node), ("one", "two")))
    yield found
    for worker in found:
        worker.stop()


class Watched(LocalDirectory):
    """The view of real workers."""

    def __init__(self, workers: list[WorkerProcess]) -> None:
        super().__init__([])
        self.running = workers

    async def look(self) -> list[Report]:
        found = []
        for worker in self.running:
            with contextlib.suppress(OSError):
                report = await asyncio.to_thread(worker.report)
                self.board.take(report)
                found.append(report)
        self.view = self.board.view()
        return found


@pytest_asyncio.fixture
async def house(pair: list[WorkerProcess]) -> AsyncIterator[tuple[str, Watched]]:
    directory = Watched(pair)
    await directory.look()
    async with gateway(GatewayOptions(port=0), directory, SIGNER) as url:
        yield url, directory


def kill(worker: WorkerProcess) -> None:
    """As a machine that loses its power: all of its processes at once, without a word."""
    tree = psutil.Process(worker.process.pid)
    for process in [tree, *tree.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            os.kill(process.pid, signal.SIGKILL)
    worker.process.wait(10)


async def seen(caller: Caller, pictures: int = 10) -> None:
    """Wait for so many more pictures."""
    count = len(caller.recording.pictures) + pictures
    await eventually(lambda: len(caller.recording.pictures) >= count, 60)


async def test_callers_are_spread_outlive_another_workers_death_and_finish_their_words(
    house: tuple[str, Watched], pair: list[WorkerProcess]
) -> None:
    url, directory = house
    calls = [contextlib.AsyncExitStack() for _ in range(2 * PLACES)]
    callers = []
    for call in calls:
        callers.append(await call.enter_async_context(Caller(url, vowels(600.0))))
        reports = await directory.look()
    assert [report.sessions for report in reports] == [PLACES, PLACES]
    with pytest.raises(SessionError, match="503: all places are taken"):
        async with Caller(url, None, "speech=1"):
            pass
    for caller in callers:
        await seen(caller)

    dead, other = reports[0].worker, reports[1].worker
    kill(pair[0])
    directory.board.forget(dead)
    kept = [number for number, caller in enumerate(callers) if f"/{other}." in caller.location]
    assert len(kept) == PLACES
    for number in kept:
        await seen(callers[number], 25)
    await calls[kept[0]].aclose()
    await directory.look()
    async with Caller(url, vowels(4.0)) as again:  # one whose worker died
        assert f"/{other}." in again.location
        await eventually(lambda: max((packet.level.max() for packet in again.recording.sound), default=0) > 0.1, 60)
        await drained(url, directory, pair[1], again)
    for call in calls:
        await call.aclose()
    assert pair[1].process.stdin is not None
    pair[1].process.stdin.close()  # whoever started it has gone
    assert await asyncio.to_thread(pair[1].process.wait, 60) == 0


async def drained(url: str, directory: Watched, worker: WorkerProcess, speaker: Caller) -> None:
    """Nobody is let in; who speaks is heard to the end, and only then has to move."""
    await asyncio.to_thread(worker.drain)
    [report] = await directory.look()
    assert (report.draining, report.free) == (True, 0)
    with pytest.raises(SessionError, match="503"):
        async with Caller(url, None, "speech=1"):
            pass
    await eventually(lambda: speaker.ended, 60)
    levels = [packet.level.max() for packet in speaker.recording.sound]
    assert max(levels) > 0.1
    assert max(levels[-10:]) < 0.05


def test_a_worker_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"the worker did not start: .*manifest.json"):
        start(tmp_path, "one")
