"""The cluster on Ray itself: two nodes, a gateway, calls; one node dies, the other is drained, all is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
ray = pytest.importorskip("ray", reason="THE CLUSTER ON RAY ITSELF IS NOT TESTED: there is no wheel of Ray here")

from streamer.cluster.gateway_server import GatewayOptions, gateway  # noqa: E402
from streamer.cluster.messages import Report  # noqa: E402
from streamer.cluster.nodes.ray_actors import NAMESPACE, ClusterSettings, start_controller  # noqa: E402
from streamer.cluster.nodes.ray_directory import RayDirectory  # noqa: E402
from streamer.cluster.scaling import CORES, Share  # noqa: E402
from streamer.cluster.signed import Signer  # noqa: E402
from streamer.core.aio import MonotonicClock  # noqa: E402
from streamer.measure.caller import Caller  # noqa: E402
from streamer.measure.onsets import vowels  # noqa: E402
from streamer.server.options import ServeOptions  # noqa: E402
from tests.waiting import eventually  # noqa: E402

pytestmark = [pytest.mark.process, pytest.mark.filterwarnings("ignore")]

SECRET = b"of the cluster"
NODE: dict[str, Any] = {"num_cpus": 0, "object_store_memory": 80 << 20, "resources": {CORES: 1}}
# A node that is gone is missed after two seconds of silence, in place of twenty.
HEALTH = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 1000, "health_check_failure_threshold": 2}
PATIENCE_S = 240.0
TRIES = 4  # Ray gives a node half a minute to start, which a busy machine may not have


def patiently(begin: Any) -> Any:
    """What `begin` gives, at the first of several tries that succeeds."""
    for left in reversed(range(TRIES)):
        try:
            return begin()
        except Exception:
            if not left:
                raise
            time.sleep(2)
    return None


@pytest.fixture
def nodes() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    head = {**NODE, "include_dashboard": False, "_system_config": HEALTH}
    cluster = patiently(lambda: Cluster(initialize_head=True, head_node_args=head))
    try:
        second = patiently(lambda: cluster.add_node(**NODE))
        patiently(lambda: ray.init(address=cluster.address, namespace=NAMESPACE, log_to_driver=False))
        yield cluster, second
    finally:
        ray.shutdown()
        cluster.shutdown()


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
async def test_calls_are_placed_on_nodes_and_survive_what_happens_to_others(nodes: Any, tiny_folder: Path) -> None:
    cluster, second = nodes
    async with running(tiny_folder) as (url, directory, controller):
        await eventually(lambda: len(ready(directory)) == 2, PATIENCE_S)
        assert len({worker.node for worker in directory.view.workers}) == 2
        async with contextlib.AsyncExitStack() as calls:
            callers = [await calls.enter_async_context(Caller(url, vowels(600.0))) for _ in range(2)]
            for caller in callers:
                await seen(caller)
            there = next(worker for worker in directory.view.workers if worker.node == second.node_id[:8])
            moved, kept = sorted(callers, key=lambda caller: f"/{there.worker}." not in caller.location)
            cluster.remove_node(second, allow_graceful=False)  # kill -9
            await eventually(lambda: moved.ended, PATIENCE_S)
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


async def seen(caller: Caller, pictures: int = 10) -> None:
    """Wait for so many more pictures."""
    count = len(caller.recording.pictures) + pictures
    await eventually(lambda: len(caller.recording.pictures) >= count, PATIENCE_S)
