"""Speech to push into a session, and what a caller heard of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from streamer.measure.caller import Caller, Grey, Recording
from streamer.measure.launched_server import LaunchedServer

SAMPLE_RATE = 24_000
STEP_MS = 200
AUDIBLE = 0.02


def steps(levels: list[float]) -> bytes:
    """A tone of 400 Hz that has each of the levels for STEP_MS."""
    amplitude = np.repeat(levels, SAMPLE_RATE * STEP_MS // 1000)
    tone = np.sin(2 * np.pi * 400 * np.arange(len(amplitude)) / SAMPLE_RATE)
    return (32767 * amplitude * tone).astype("<i2").tobytes()


def heard(recording: Recording) -> Grey:
    """The level of every millisecond that came back."""
    return np.concatenate([packet.level for packet in recording.sound])


def voiced(recording: Recording) -> Grey:
    """From the first audible millisecond to the last; levels held over a period of the tone."""
    level = heard(recording)
    audible = np.flatnonzero(level > AUDIBLE)
    return level[audible[0] : audible[-1] + 1] if len(audible) else level[:0]


def about(found: int, milliseconds: int, recording: Recording, within: int = 30) -> bool:
    """Whether so much was heard, less what never came: a track skips what it was held up for on a busy machine."""
    came = len(heard(recording)) - len(recording.sound[-1].level)
    missing = 1000 * (recording.sound[-1].moment - recording.sound[0].moment) - came
    return milliseconds - max(0, missing) - within <= found <= milliseconds + within


async def until_silent(caller: Caller, above: float = AUDIBLE) -> None:
    """Until the last 400 ms that came are no louder, and are new: what was said has come. Or until the call ends."""
    packets = caller.recording.sound
    wanted = len(packets) + 20
    while len(packets) < wanted or max(packet.level.max() for packet in packets[-20:]) > above:
        if caller.ended:
            return
        await asyncio.sleep(0.02)


async def until_heard(caller: Caller, milliseconds: int) -> None:
    """Until so much voice came back; 0: anything at all."""
    recording = caller.recording
    while not recording.sound or (milliseconds and len(voiced(recording)) < milliseconds):  # noqa: ASYNC110
        await asyncio.sleep(0.02)


@asynccontextmanager
async def caller_of(server: LaunchedServer, sound: Any = None, query: str = "speech=1") -> AsyncIterator[Caller]:
    async with Caller(server.url, sound, query) as caller, asyncio.timeout(120):
        await until_heard(caller, 0)
        yield caller
