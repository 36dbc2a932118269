"""A server whose faces a voice agent speaks through: real calls, a real WebSocket, and everything at its real time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import numpy as np
import pytest

from streamer.audio.format import RATE
from streamer.measure.caller import Caller, Mono
from streamer.measure.launched_server import LaunchedServer, launch
from tests.fakes.realtime_backend import SPOKEN, TRANSCRIPT, RealtimeBackend
from tests.fakes.spoken import AUDIBLE, caller_of, heard, until_heard
from tests.waiting import eventually

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("loopback")]


def words(*moments: float) -> Mono:
    """A tone of half a second at each of the moments, and silence else."""
    sound = np.zeros(round((moments[-1] + 60) * RATE), np.int16)
    for moment in moments:
        tone = 16_000 * np.sin(2 * np.pi * 300 * np.arange(RATE // 2) / RATE)
        sound[round(moment * RATE) :][: len(tone)] = tone.astype(np.int16)
    return sound


@asynccontextmanager
async def agent(backend: RealtimeBackend, family: Path) -> AsyncIterator[LaunchedServer]:
    async with backend.serving():
        options = ["--engines", str(family), "--sessions", "1", "--threads", "1", "--realtime", backend.url]
        server = launch(options)
        try:
            yield await asyncio.to_thread(server.__enter__)
        finally:
            await asyncio.to_thread(server.__exit__, None, None, None)


async def events_of(caller: Caller, found: list[dict[str, object]]) -> None:
    async with aiohttp.ClientSession() as http, http.ws_connect(caller.location + "/control") as socket:
        await socket.send_str('{"type": "hello", "version": 1}')
        async for message in socket:
            found.append(json.loads(message.data))


async def test_a_microphone_is_answered_by_the_agent_and_interrupts_it(tiny_folder: Path) -> None:
    backend = RealtimeBackend(answer_ms=60_000)
    async with agent(backend, tiny_folder) as server, caller_of(server, words(1.0, 5.0), "") as caller:
        events: list[dict[str, object]] = []
        listening = asyncio.create_task(events_of(caller, events))
        async with asyncio.timeout(120):
            await until_heard(caller, 300)
            await eventually(lambda: backend.truncated, 60)
        (cut_ms,) = backend.truncated.values()
        assert 0 < cut_ms < 30_000
        await eventually(lambda: heard(caller.recording)[-500:].max() < AUDIBLE)  # long before the answer's end
        await eventually(lambda: any(event.get("interrupted") and event["type"] == "caption" for event in events))
        listening.cancel()
    told = [event.get("state") for event in events if event["type"] == "state"]
    assert "speaking" in told
    captions = [event for event in events if event["type"] == "caption"]
    assert {"type": "caption", "of": "person", "text": SPOKEN, "final": True, "interrupted": False} in captions
    (cut,) = [event for event in captions if event["interrupted"]]
    assert TRANSCRIPT.startswith(str(cut["text"]))
    assert backend.connections == 1
    assert backend.heard_ms > 3_000
    assert not [code for code in backend.refused if code != "response_cancel_not_active"]
