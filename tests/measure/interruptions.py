"""How long a face is heard on once it was interrupted, and how far what is reported is from what was heard.

    python -m tests.measure.interruptions livekit|pipecat|realtime [--times N]

An agent of the framework's real classes says a tone through a face made on this machine; somebody at the other end
hears it. Behind the Realtime protocol the interruption is a word into the microphone of a call, and the detector of
the other side waits for 60 ms of it.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from engines import SHIPPED_FAMILY
from streamer.measure.caller import Caller
from streamer.measure.launched_server import launch
from streamer.webrtc.ice import LOOPBACK, offer_only
from tests.fakes.realtime_backend import RealtimeBackend
from tests.fakes.shown import tone
from tests.fakes.spoken import AUDIBLE, until_heard, voiced
from tests.waiting import eventually

SPOKEN_S = 20  # of a speech that is cut off
CUT_MS = 1_500  # heard of it by then
LIVEKIT_MS = 10  # of a frame of its sound
SETTLE_S = 1.0  # after which nothing more is heard
WORD_S = 6.0  # into a call: the word that interrupts


@dataclass(frozen=True)
class Cut:
    """Milliseconds. position_error: what was heard less what was reported."""

    to_silence: float
    position_error: float


async def by_livekit() -> Cut:
    """A LiveKit agent whose face is in a worker's room, interrupted by `clear_buffer`."""
    from streamer.desktop.program_face import FaceHere
    from tests.clients.test_livekit import Agent, Workplace, watching

    place = Workplace(source=FaceHere)
    async with place.open() as worker:
        agent = Agent(place)
        await agent.meet(worker)
        async with watching(agent) as watcher:
            await agent.say(SPOKEN_S)
            await eventually(lambda: LIVEKIT_MS * len(watcher.loud) > CUT_MS)
            at = time.monotonic()
            agent.interrupt()
            await eventually(lambda: agent.finished)
            await asyncio.sleep(SETTLE_S)
            heard_ms, reported_ms = LIVEKIT_MS * len(watcher.loud), 1000 * agent.finished[0].playback_position
            return Cut(1000 * (watcher.loud[-1] - at), heard_ms - reported_ms)


async def by_pipecat() -> Cut:
    """A Pipecat pipeline, interrupted by an InterruptionFrame."""
    from pipecat.frames.frames import InterruptionFrame

    from streamer.desktop.program_face import FaceHere
    from tests.clients.test_pipecat import Bot

    bot = Bot(FaceHere())
    async with bot.running():
        await eventually(lambda: bot.screen.greys)
        await bot.say(SPOKEN_S, tone(SPOKEN_S))
        await eventually(lambda: bot.between.loud_ms() > CUT_MS)
        at = time.monotonic()
        await bot.worker.queue_frame(InterruptionFrame())
        await eventually(lambda: bot.events[1:])
        await asyncio.sleep(SETTLE_S)
        reported_ms, _ = bot.events[1] or (0, False)
        return Cut(1000 * (bot.between.loud_at - at), bot.between.loud_ms() - reported_ms)


@asynccontextmanager
async def talking() -> AsyncIterator[tuple[RealtimeBackend, str]]:
    """A voice agent, and the address of a server that gives it a face."""
    backend = RealtimeBackend(answer_ms=1000 * SPOKEN_S)
    async with backend.serving():
        server = launch(["--sessions", "1", "--realtime", backend.url])
        try:
            yield backend, (await asyncio.to_thread(server.__enter__)).url
        finally:
            await asyncio.to_thread(server.__exit__, None, None, None)


async def by_realtime() -> Cut:
    """A call to an agent behind the Realtime protocol, interrupted by a word."""
    from tests.server.test_realtime import words

    offer_only(LOOPBACK)
    async with talking() as (backend, url), Caller(url, words(1.0, WORD_S)) as caller:
        await until_heard(caller, 300)
        await eventually(lambda: backend.truncated, 60)
        await asyncio.sleep(SETTLE_S)
        (reported_ms,) = backend.truncated.values()
        loud = [packet for packet in caller.recording.sound if packet.level.max() > AUDIBLE]
        silent_ms = 1000 * (loud[-1].moment - caller.recording.start - WORD_S)
        return Cut(silent_ms, len(voiced(caller.recording)) - reported_ms)


DOORS: dict[str, Callable[[], Awaitable[Cut]]] = {"livekit": by_livekit, "pipecat": by_pipecat, "realtime": by_realtime}


async def measure(door: str, times: int) -> list[Cut]:
    """Interrupt so many times."""
    return [await DOORS[door]() for _ in range(times)]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.measure.interruptions", description=__doc__.split("\n")[0])
    parser.add_argument("door", choices=DOORS)
    parser.add_argument("--times", type=int, default=3, metavar="N", help="interruptions (default: 3)")
    options = parser.parse_args(argv)
    cuts = asyncio.run(measure(options.door, options.times))
    print(f"family {SHIPPED_FAMILY.name}, {len(cuts)} interruptions by {options.door}; ms: median (all)")
    for name in ("to_silence", "position_error"):
        values = [round(getattr(cut, name), 1) for cut in cuts]
        print(f"{name:16s}{statistics.median(values):8.1f}  ({', '.join(map(str, values))})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
