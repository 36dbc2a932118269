"""What a session of numbers alone takes of the processor, by thread: a call with a microphone, or for pushed speech.

    python -m tests.measure.numbers_cost [--speech] [--sessions N] [--seconds S]

The shares are of one core, a session's, of the server and its inference process; what both take without sessions is
told before. The caller here takes as much again, and is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from urllib.parse import urljoin

import aiohttp
import psutil
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaBlackhole

from streamer.core.aio import MonotonicClock
from streamer.measure.caller import Recording, SoundTrack
from streamer.measure.launched_server import LaunchedServer, launch
from streamer.measure.onsets import vowels
from streamer.webrtc.ice import LOOPBACK, offer_only

SETTLE_S = 3.0  # until a session is under way
SHOWN = 0.3  # percent, of a thread
SDP = {"Content-Type": "application/sdp"}

Times = Counter[tuple[int, int]]  # seconds, by process and thread


def threads_of(server: LaunchedServer) -> Times:
    """What each thread of the server and its children has taken so far."""
    found: Times = Counter()
    main = psutil.Process(server.process.pid)
    for process in (main, *main.children(recursive=True)):
        with suppress(psutil.Error):
            for thread in process.threads():
                found[process.pid, thread.id] = thread.user_time + thread.system_time
    return found


async def taken(server: LaunchedServer, seconds: float) -> Times:
    """Percent of a core that each thread takes."""
    before = threads_of(server)
    await asyncio.sleep(seconds)
    after = threads_of(server)
    return Counter({thread: 100 * (after[thread] - before[thread]) / seconds for thread in after})


@asynccontextmanager
async def called(
    server: LaunchedServer, http: aiohttp.ClientSession, speech: bool, seconds: float
) -> AsyncIterator[str]:
    """A call to a session whose face is not drawn; its address."""
    peer, sink = RTCPeerConnection(RTCConfiguration(iceServers=[])), MediaBlackhole()
    peer.on("track", sink.addTrack)
    if speech:
        peer.addTransceiver("audio", "recvonly")
    else:
        microphone: MediaStreamTrack = SoundTrack(vowels(seconds), Recording(), MonotonicClock())
        peer.addTransceiver(microphone, "sendrecv")
    try:
        await peer.setLocalDescription(await peer.createOffer())
        address = urljoin(server.url, f"session?pictures=0&speech={int(speech)}")
        async with http.post(address, data=peer.localDescription.sdp, headers=SDP) as response:
            response.raise_for_status()
            answer, location = await response.text(), urljoin(server.url, response.headers["Location"])
        await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await sink.start()
        yield location
    finally:
        await sink.stop()
        await peer.close()


async def count(http: aiohttp.ClientSession, location: str, frames: Counter[str]) -> None:
    """Read a session's numbers."""
    async with http.ws_connect(f"{location}/numbers") as socket:
        async for _ in socket:
            frames[location] += 1


async def measure(server: LaunchedServer, sessions: int, speech: bool, seconds: float) -> None:
    """Print what so many sessions take, each."""
    idle, frames = sum((await taken(server, SETTLE_S)).values()), Counter[str]()
    print(f"without sessions: {idle:.1f} %")
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        readers = []
        for _ in range(sessions):
            location = await stack.enter_async_context(called(server, http, speech, seconds + 4 * SETTLE_S))
            readers.append(asyncio.create_task(count(http, location, frames)))
        await asyncio.sleep(SETTLE_S)
        before = frames.total()
        found = await taken(server, seconds)
        rate = (frames.total() - before) / seconds / sessions
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
    for (process, thread), share in found.most_common():
        if share / sessions > SHOWN:
            print(f"  process {process} thread {thread}: {share / sessions:.1f} %")
    print(f"a session: {sum(found.values()) / sessions:.1f} % of a core, {rate:.1f} frames a second")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.measure.numbers_cost", description=__doc__.split("\n")[0])
    parser.add_argument("--speech", action="store_true", help="for pushed speech, where nobody speaks; no microphone")
    parser.add_argument("--sessions", type=int, default=1, metavar="N", help="at a time (default: 1)")
    parser.add_argument("--seconds", type=float, default=15.0, metavar="S", help="measured (default: 15)")
    options = parser.parse_args(argv)
    offer_only(LOOPBACK)
    with launch(["--sessions", str(options.sessions)]) as server:
        asyncio.run(measure(server, options.sessions, options.speech, options.seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
