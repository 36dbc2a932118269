"""Whether a word is lost while a cluster is upgraded: `python -m tests.measure.cluster_drain`.

Three nodes of Ray on this machine. A program says words into one session without a pause between its utterances, while
one worker after the other is drained and starts anew. A caller does what the page does and listens.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from clients.resuming_speech import ResumingSpeech
from streamer.audio.format import RATE
from streamer.measure.caller import Heard
from streamer.measure.onsets import LOUD, vowels
from streamer.webrtc.ice import LOOPBACK, offer_only
from tests.families import tiny_family
from tests.measure.cluster_failover import NODES, PATIENCE_S, House, running
from tests.measure.page_caller import PageCaller
from tests.waiting import eventually

KEY = "a-key-of-the-speakers-own"
UTTERANCE_S, WORDS = 5.0, 2  # of `vowels`
PAUSE_MS = 250


async def main() -> None:
    """Measure and print."""
    offer_only(LOOPBACK)
    with tempfile.TemporaryDirectory() as folder:
        async with running(tiny_family.build(Path(folder) / "tiny"), callers=0) as house:
            gateways = [url for url, _ in house.gateways]
            page = PageCaller(gateways, f"speech=1&key={KEY}", speaks=False)
            listening = asyncio.create_task(page.run())
            await eventually(lambda: page.worker, PATIENCE_S)
            print(f"the session is on {page.worker}", flush=True)
            upgrading = asyncio.create_task(upgraded(house))
            async with ResumingSpeech(f"{gateways[0]}session/{KEY}") as speech:
                positions = []
                while not upgrading.done():
                    positions.append(await speech.say(vowels(UTTERANCE_S).tobytes(), RATE))
                await asyncio.sleep(2.0)  # the last word is on its way
            listening.cancel()
    wrong = [each for each in positions if each != round(1000 * UTTERANCE_S)]
    said, heard = WORDS * len(positions), words(page.sound)
    print(
        f"{NODES} workers drained and begun anew in {await upgrading:.0f} s; the session moved {len(page.losses)} times"
    )
    print(f"{said} words said, {heard} heard ({speech.losses} connections lost while one was said); ", end="")
    print(f"{len(wrong)} of {len(positions)} positions wrong {wrong}")


async def upgraded(house: House) -> float:
    """Drain all workers, one after the other; in how many seconds."""
    start = time.monotonic()
    for worker in [each.worker for each in house.directory.view.workers]:
        await house.controller.drain.remote(worker)
        await eventually(lambda: house.directory.view.find(worker) is None, PATIENCE_S)  # noqa: B023 - awaited here
        await eventually(lambda: house.ready == NODES, PATIENCE_S)
        print(f"{worker} was drained and is back, {time.monotonic() - start:.0f} s after the beginning", flush=True)
    return time.monotonic() - start


def words(sound: Sequence[Heard]) -> int:
    """How many were heard: loud after a pause."""
    found, quiet_ms = 0, 1000
    for level in (level for packet in sound for level in packet.level):
        found += bool(level > LOUD and quiet_ms > PAUSE_MS)
        quiet_ms = 0 if level > LOUD else quiet_ms + 1
    return found


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
