"""From `avatar cluster start` to the first moving face: `python -m tests.measure.cluster_cold_start --times 3`.

Each time a cluster of this machine alone begins, and somebody calls as soon as the gateway listens, long before a
worker is ready. What is refused is told, with its words; the caller calls again at once.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp

from streamer.core.errors import SessionError
from streamer.measure.caller import Caller
from streamer.measure.onsets import vowels
from streamer.webrtc.ice import LOOPBACK, offer_only
from tests.fakes.ports import free_port

MOVING = 3  # pictures
START_S, END_S, LOOK_S = 200.0, 30.0, 0.05


@contextlib.asynccontextmanager
async def cluster(arguments: list[str]) -> AsyncIterator[str]:
    """One that has just been begun; its gateway's address."""
    port, head = free_port(), free_port()
    command = [sys.executable, "-m", "streamer", "cluster", "start", "--port", str(port), "--cluster-port", str(head)]
    process = await asyncio.create_subprocess_exec(*command, *arguments, stdout=asyncio.subprocess.DEVNULL)
    try:
        yield f"http://localhost:{port}/"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(END_S):
                await process.wait()
        except TimeoutError:
            process.kill()


async def until(wanted: Callable[[], Awaitable[bool]]) -> float:
    """Wait for something; when it was so."""
    async with asyncio.timeout(START_S):
        while not await wanted():  # noqa: ASYNC110 - it is in other processes
            await asyncio.sleep(LOOK_S)
    return time.monotonic()


async def one(arguments: list[str]) -> str:
    """How one start went."""
    start = time.monotonic()
    refused: Counter[str] = Counter()
    async with cluster(arguments) as url, aiohttp.ClientSession() as http:

        async def answers(statuses: tuple[int, ...]) -> bool:
            try:
                async with http.get(f"{url}healthz") as response:
                    return response.status in statuses
            except aiohttp.ClientError:
                return False

        listening = await until(lambda: answers((200, 503)))
        ready = asyncio.create_task(until(lambda: answers((200,))))
        sound = vowels(10.0)
        async with asyncio.timeout(START_S):
            while True:
                try:
                    caller = await Caller(url, sound).__aenter__()
                    break
                except SessionError as error:
                    refused[str(error)] += 1
                    await asyncio.sleep(LOOK_S)
        answered = time.monotonic()

        async def moves() -> bool:
            return len(caller.recording.pictures) >= MOVING

        moving = await until(moves)
        healthy = await ready
        await caller.__aexit__(None, None, None)
    times = f"listens after {listening - start:.1f} s, healthy {healthy - start:.1f}, offer answered "
    return f"{times}{answered - start:.1f}, face moves {moving - start:.1f}; refused before: {dict(refused)}"


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("more", nargs="*", help="arguments of `avatar cluster start`, after --")
    args = parser.parse_args()
    offer_only(LOOPBACK)
    with tempfile.TemporaryDirectory() as home:
        os.environ["AVATAR_HOME"] = home
        for _ in range(args.times):
            print(await one(args.more), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
