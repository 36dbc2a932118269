"""The cluster on Ray itself: two nodes, a gateway, calls; one node dies, the other is drained, all is stopped."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

pytest.importorskip("ray", reason="THE CLUSTER ON RAY ITSELF IS NOT TESTED: there is no wheel of Ray here")

from streamer.cluster.gateway_server import GatewayOptions, gateway
from streamer.cluster.messages import Report
from streamer.cluster.nodes.ray_actors import ClusterSettings, start_controller
from streamer.cluster.nodes.ray_directory import RayDirectory
from streamer.cluster.scaling import Share
from streamer.cluster.signed import Signer
from streamer.core.aio import MonotonicClock
from streamer.measure.caller import Caller
from streamer.measure.onsets import vowels
from streamer.server.options import ServeOptions
from tests.nodes import Nodes, name_of, nodes
from tests.waiting import eventually

pytestmark = [pytest.mark.process, pytest.mark.filterwarnings("ignore")]

SECRET = b"of the cluster"
PATIENCE_S = 240.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    with nodes(2) as found:
        yield found


@contextlib.asynccontextmanager
async def running(family: Path) -> AsyncIterator[tuple[str, RayDirectory, Any]]:
    options = ServeOptions(family=family, max_sessions=1, threads=1, photos=False)
    controller = start_controller(ClusterSettings(SECRET, Share(cores=1), options))
    await asyncio.wait_for(controller.door.remote(), PATIENCE_S)
    directory = RayDirectory(MonotonicClock())
    async with directory.followed(), gateway(GatewayOptions(port=0), directory, Signer(SECRET)) as url:
        yield url, directory, controller


def ready(directory: RayDirectory) -> list[Report]:
    return [worker for worker in directory.view.workers if worker.open]


@pytest.mark.timeout(900)
async def test_calls_are_placed_on_nodes_and_survive_what_happens_to_others(cluster: Nodes, tiny_folder: Path) -> None:
    [second] = cluster.others
    async with running(tiny_folder) as (url, directory, controller):
        await eventually(lambda: len(ready(directory)) == 2, PATIENCE_S)
        assert len({worker.node for worker in directory.view.workers}) == 2
        async with contextlib.AsyncExitStack() as calls:
            callers = [await calls.enter_async_context(Caller(url, vowels(20.0))) for _ in range(2)]
            for caller in callers:
                await seen(caller)
            there = next(worker for worker in directory.view.workers if worker.node == name_of(second))
            moved, kept = sorted(callers, key=lambda caller: f"/{there.worker}." not in caller.location)
            cluster.kill(second)
            assert await status_of(moved) == 404  # its page calls again
            assert await status_of(kept) == 200
            await seen(kept, 25)
            await eventually(lambda: len(directory.view.workers) == 1, PATIENCE_S)
        await eventually(lambda: ready(directory) and ready(directory)[0].free == 1, PATIENCE_S)
        async with Caller(url, vowels(2.0)) as again:
            await seen(again)
            [left] = ready(directory)
            assert await controller.drain.remote(left.node) == [left.worker]
            await eventually(lambda: again.ended, PATIENCE_S)  # when it has said what it had to say
        await controller.stop.remote()
        await asyncio.wait_for(directory.stopping.wait(), PATIENCE_S)
        await eventually(lambda: not directory.view.workers, PATIENCE_S)


async def status_of(caller: Caller) -> int:
    """What a caller's address answers."""
    async with aiohttp.ClientSession() as http, http.get(caller.location) as response:
        return response.status


async def seen(caller: Caller, pictures: int = 10) -> None:
    """Wait for so many more pictures of a call that goes on."""
    count = len(caller.recording.pictures) + pictures
    await eventually(lambda: caller.ended or len(caller.recording.pictures) >= count, PATIENCE_S)
    assert not caller.ended
