"""A well-behaved caller in a process of its own: what it loses, the server took from it.

    python -m tests.measure.mutated.canary URL [TOKEN]

Prints a line of JSON a second until it is ended: packets of sound, how many of them were audible, new pictures.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np

from streamer.measure.caller import Caller, Recording
from streamer.measure.onsets import vowels
from streamer.webrtc.ice import LOOPBACK, offer_only

SPEECH_S = 2400.0  # 230 MB; silence after that
AUDIBLE = 0.02


@dataclass(frozen=True)
class Second:
    """What came back within one second. ended: the server has said goodbye."""

    packets: int
    audible: int
    pictures: int
    ended: bool


async def watch(url: str, token: str | None) -> None:
    """Call and tell."""
    async with Caller(url, np.tile(vowels(60.0), int(SPEECH_S / 60)), token=token) as caller:
        while not caller.ended:
            await asyncio.sleep(1.0)
            print(json.dumps(asdict(_taken(caller.recording, caller.ended))), flush=True)


def _taken(recording: Recording, ended: bool) -> Second:
    """What has come since the last time."""
    sound, pictures = recording.sound[:], recording.pictures[:]
    del recording.sound[: len(sound)], recording.pictures[: len(pictures) - 1]
    new = sum(bool(np.abs(b.mouth - a.mouth).mean() > 0.15) for a, b in pairwise(pictures))
    return Second(len(sound), sum(bool(heard.level.max() > AUDIBLE) for heard in sound), new, ended)


if __name__ == "__main__":
    offer_only(LOOPBACK)
    asyncio.run(watch(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None))
