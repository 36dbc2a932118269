"""What a gateway adds: `python -m tests.measure.cluster_gateway`.

Workers of this process answer offers without media, at once: what is measured is the way, there and back, once through
a gateway and once straight to a worker, in turns. Offers a second are those of one gateway that shares one thread with
its workers and its callers, so that it carries more by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

import aiohttp

from streamer.cluster.enclosure import PASS_HEADER, RESERVATION_HEADER
from streamer.cluster.gateway_server import GatewayOptions, GatewayRates, gateway
from streamer.cluster.signed import Signer
from tests.fakes.cluster import FakeWorker, LocalDirectory, refreshed, workers

SIGNER = Signer(b"secret")
SDP = {"Content-Type": "application/sdp"}
FREELY = GatewayRates((1e6, 1_000_000), (1e6, 1_000_000))
AT_ONCE = 16


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="offers, and messages (default: 200)")
    count = parser.parse_args().count
    async with workers(SIGNER, *([count * 4] * 3)) as found, aiohttp.ClientSession() as http:
        directory = LocalDirectory(found)
        options = GatewayOptions(port=0, rates=FREELY)
        async with gateway(options, directory, SIGNER) as url, refreshed(directory, 0.5):
            through = await in_turns(count, lambda: offer(http, url), lambda: straight_offer(http, found[0]))
            print(f"POST /session: {told(through)}")
            print(f"speech message, there and back: {told(await messages(http, url, found[0], count))}")
            start = time.perf_counter()
            for _ in range(0, count, AT_ONCE):
                await asyncio.gather(*(offer(http, url) for _ in range(AT_ONCE)))
            print(f"offers a second, {AT_ONCE} at once: {count / (time.perf_counter() - start):.0f}")


async def offer(http: aiohttp.ClientSession, url: str) -> str:
    """One session more; where it is."""
    async with http.post(f"{url}session", data="v=0", headers=SDP) as response:
        assert response.status == 201, await response.text()
        return response.headers["Location"]


async def straight_offer(http: aiohttp.ClientSession, worker: FakeWorker) -> str:
    """The same without a gateway: what has no place before must still get one."""
    name = worker.enclosure._reservations.reserve()  # as cheap as a server without reservations
    assert name is not None
    headers = SDP | {PASS_HEADER: SIGNER.pass_word, RESERVATION_HEADER: name}
    async with http.post(f"{worker.url}session", data="v=0", headers=headers) as response:
        assert response.status == 201, await response.text()
        return response.headers["Location"]


async def messages(
    http: aiohttp.ClientSession, url: str, worker: FakeWorker, count: int
) -> tuple[list[float], list[float]]:
    """Times of 20 ms of speech that is sent back."""
    one = url + (await offer(http, url)).lstrip("/") + "/speech"
    other = worker.url + (await straight_offer(http, worker)).lstrip("/") + "/speech"
    headers = {PASS_HEADER: SIGNER.pass_word}
    async with http.ws_connect(one) as far, http.ws_connect(other, headers=headers) as near:

        async def send(socket: aiohttp.ClientWebSocketResponse) -> None:
            await socket.send_bytes(bytes(960))
            await socket.receive()

        return await in_turns(count, lambda: send(far), lambda: send(near))


async def in_turns(
    count: int, one: Callable[[], Awaitable[object]], other: Callable[[], Awaitable[object]]
) -> tuple[list[float], list[float]]:
    """Times of both in ms, each after the other."""
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(count):
        for act, times in zip((one, other), found, strict=True):
            start = time.perf_counter()
            await act()
            times.append(1000 * (time.perf_counter() - start))
    return found


def told(times: tuple[list[float], list[float]]) -> str:
    """Medians, and their difference."""
    through, straight = (statistics.median(each) for each in times)
    return f"{through:.1f} ms through the gateway, {straight:.1f} without, {through - straight:+.1f}"


if __name__ == "__main__":
    asyncio.run(main())
