"""A gateway in a process of its own: `python -m tests.measure.lone_gateway RAY_ADDRESS`. It says where it listens."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator

from streamer.cluster.gateway_server import GatewayOptions, gateway
from streamer.cluster.nodes.ray_actors import find_controller
from streamer.cluster.nodes.ray_directory import RayDirectory
from streamer.cluster.nodes.ray_nodes import connect
from streamer.cluster.signed import Signer
from streamer.core.aio import MonotonicClock

START_S = 60.0


async def main() -> None:
    """Serve until killed."""
    connect(sys.argv[1])
    secret, keys = await find_controller().door.remote()
    directory = RayDirectory(MonotonicClock())
    options = GatewayOptions(port=0, token_keys=tuple(keys))
    async with directory.followed(), gateway(options, directory, Signer(secret)) as url:
        print(url, flush=True)
        await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def lone_gateway(address: str) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """One that is connected to the cluster at `address`; where it listens, and its process, to be killed or not."""
    command = (sys.executable, "-m", "tests.measure.lone_gateway", address)
    process = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=dict(os.environ)
    )
    assert process.stdout is not None  # it is a pipe
    try:
        async with asyncio.timeout(START_S):
            url = (await process.stdout.readline()).decode().strip()
        yield url, process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


if __name__ == "__main__":
    asyncio.run(main())
