"""How long a face is heard on once it was interrupted, and how far what is reported is from what was heard.

    python -m tests.measure.interruptions livekit|pipecat|realtime ... [--times N]

An agent of the framework's real classes says a tone through a face made on this machine; somebody at the other end
hears it. Behind the Realtime protocol the interruption is a word into the microphone of a call, and the detector of
the other side waits for 60 ms of it. Several doors are used at the same time.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields

from engines import SHIPPED_FAMILY
from streamer.audio.format import AUDIO_PTIME_MS
from streamer.measure.caller import Caller
from streamer.measure.launched_server import launch
from streamer.webrtc.ice import LOOPBACK, offer_only
from tests.fakes.realtime_backend import RealtimeBackend
from tests.fakes.shown import tone
from tests.fakes.spoken import AUDIBLE, until_heard
from tests.waiting import eventually

SPOKEN_S = 20  # of a speech that is cut off
CUT_MS = 1_500  # heard of it by then
LIVEKIT_MS = 10  # of a frame of its sound
SETTLE_S = 1.0  # after which nothing more is heard
WORD_S = 6.0  # into a call: the word that interrupts


@dataclass(frozen=True)
class Cut:
    """Milliseconds. error: what was heard less what was reported, heard by the first and last moment of sound, which
    a pause makes longer, or by how much of it there was, which a machine that skips sound makes less."""

    to_silence: float
    error_by_time: float
    error_by_amount: float

    @classmethod
    def of(cls, spoken: Sequence[float], each_ms: float, at: float, reported_ms: float) -> Cut:
        """spoken: moments at which sound of so many ms came. at: of the interruption."""
        heard_ms = 1000 * (spoken[-1] - spoken[0]) + each_ms, len(spoken) * each_ms
        return cls(1000 * (spoken[-1] - at), heard_ms[0] - reported_ms, heard_ms[1] - reported_ms)


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
            return Cut.of(watcher.loud, LIVEKIT_MS, at, 1000 * agent.finished[0].playback_position)


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
        return Cut.of(bot.between.spoken, AUDIO_PTIME_MS, at, reported_ms)


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
        spoken = [packet.moment for packet in caller.recording.sound if packet.level.max() > AUDIBLE]
        return Cut.of(spoken, AUDIO_PTIME_MS, caller.recording.start + WORD_S, reported_ms)


DOORS: dict[str, Callable[[], Awaitable[Cut]]] = {"livekit": by_livekit, "pipecat": by_pipecat, "realtime": by_realtime}


async def measure(doors: Sequence[str], times: int) -> list[list[Cut]]:
    """Interrupt so many times at each of the doors, which are in use at once; the cuts of each."""
    rounds = [await asyncio.gather(*(DOORS[door]() for door in doors)) for _ in range(times)]
    return [list(cuts) for cuts in zip(*rounds, strict=True)]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.measure.interruptions", description=__doc__.split("\n")[0])
    parser.add_argument("doors", choices=DOORS, nargs="+")
    parser.add_argument("--times", type=int, default=3, metavar="N", help="interruptions (default: 3)")
    options = parser.parse_args(argv)
    for door, cuts in zip(options.doors, asyncio.run(measure(options.doors, options.times)), strict=True):
        print(f"family {SHIPPED_FAMILY.name}, {len(cuts)} interruptions by {door}; ms: median (all)")
        for name in (field.name for field in fields(Cut)):
            values = [round(getattr(cut, name), 1) for cut in cuts]
            print(f"{name:16s}{statistics.median(values):8.1f}  ({', '.join(map(str, values))})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
