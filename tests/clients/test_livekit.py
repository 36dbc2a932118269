"""A LiveKit agent's face, with the real classes of livekit-agents on both sides and a room without a server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import web

pytest.importorskip("livekit.agents", reason="the extra `livekit` is not installed")

from livekit import api, rtc
from livekit.agents import Agent as LiveKitAgent
from livekit.agents import AgentSession
from livekit.agents.voice.io import PlaybackFinishedEvent

from clients.agent_voice import FaceSource
from clients.livekit import AvatarSession, RoomWorker
from clients.livekit.avatar_session import AvatarSessionError
from clients.livekit.room_worker import serve
from examples.livekit_agent import Espeak
from tests import ROOT
from tests.fakes.livekit_house import House, Room
from tests.fakes.ports import free_port
from tests.fakes.shown import RATE, LevelFace, tone
from tests.waiting import eventually

pytestmark = pytest.mark.slow

KEY, SECRET = "key", "a secret that is long enough to sign with"
LOUD = 4000  # of 32767; the speech has twice as much


class Workplace:
    """A worker that listens, and the rooms that its faces enter: one for each agent."""

    def __init__(self, secret: str = "", most: int = 2, source: Callable[[], FaceSource] = LevelFace) -> None:
        self._source = source
        self.houses: dict[str, House] = {}
        self.asked: list[str | None] = []
        self.worker = RoomWorker(self._face, most, secret, self._enter)

    def _face(self, avatar: str | None) -> FaceSource:
        self.asked.append(avatar)
        return self._source()

    async def _enter(self, url: str, token: str) -> Any:
        claims = api.TokenVerifier(KEY, SECRET).verify(token)
        assert claims.kind == "agent"
        assert claims.video is not None
        assert claims.video.room == "house"
        agent = (claims.attributes or {})["lk.publish_on_behalf"]
        return self.houses[agent].enter(claims.identity, claims.attributes)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        runner = web.AppRunner(self.worker.application(), access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            async with asyncio.timeout(60):
                yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


class Agent:
    """An agent in a room of its own, whose face comes from a worker."""

    def __init__(self, place: Workplace, identity: str = "agent", session: AgentSession[Any] | None = None) -> None:
        self.house = place.houses[identity] = House()
        self.room: Any = self.house.enter(identity)
        self.session: AgentSession[Any] = session or AgentSession()
        self.finished: list[PlaybackFinishedEvent] = []
        self.started = 0

    async def meet(self, worker: str, **kwargs: Any) -> None:
        avatar = AvatarSession(worker, **kwargs)
        await avatar.start(self.session, self.room, "ws://localhost:1", KEY, SECRET)
        self.voice = self.session.output.audio
        assert self.voice is not None
        self.voice.on("playback_finished", self.finished.append)
        self.voice.on("playback_started", self._note_start)

    def _note_start(self, event: object) -> None:
        self.started += 1

    async def say(self, seconds: float) -> None:
        speech = tone(seconds)
        assert self.voice is not None
        for start in range(0, len(speech), 4_800):
            piece = speech[start : start + 4_800]
            await self.voice.capture_frame(rtc.AudioFrame(piece, RATE, 1, len(piece) // 2))
        self.voice.flush()

    def interrupt(self) -> None:
        assert self.voice is not None
        self.voice.clear_buffer()

    @property
    def face(self) -> Room:
        return self.house.rooms["avatar"]


class Watcher:
    """Somebody in the room who hears and sees the face."""

    def __init__(self, room: Room) -> None:
        self.loud: list[float] = []  # moments of loud sound, each of 10 ms
        self.greys: list[int] = []
        audio, video = room.local_participant.tracks
        self._streams = rtc.AudioStream.from_track(track=audio), rtc.VideoStream.from_track(track=video)
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._watch())]

    async def _listen(self) -> None:
        async for event in self._streams[0]:
            if np.abs(np.frombuffer(event.frame.data, np.int16)).max(initial=0) > LOUD:
                self.loud.append(time.monotonic())

    async def _watch(self) -> None:
        async for event in self._streams[1]:
            self.greys.append(event.frame.convert(rtc.VideoBufferType.RGB24).data[0])

    async def leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for stream in self._streams:
            await stream.aclose()


@asynccontextmanager
async def watching(agent: Agent) -> AsyncIterator[Watcher]:
    await eventually(lambda: len(agent.face.local_participant.tracks) == 2)
    watcher = Watcher(agent.face)
    try:
        yield watcher
    finally:
        await watcher.leave()


async def test_an_agent_speaks_with_a_face() -> None:
    place = Workplace()
    async with place.open() as worker:
        agent = Agent(place)
        await agent.meet(worker, avatar="mina")
        async with watching(agent) as watcher:
            await eventually(lambda: watcher.greys)  # it is there before anything was said
            await agent.say(1.0)
            await eventually(lambda: agent.finished)
            await eventually(lambda: len(watcher.loud) > 50)
            await eventually(lambda: any(60 < grey < 140 for grey in watcher.greys))
    assert place.asked == ["mina"]
    assert agent.started == 1
    assert [(event.playback_position, event.interrupted) for event in agent.finished] == [(1.0, False)]


async def test_an_interruption_silences_the_face_and_reports_the_position_heard() -> None:
    place = Workplace()
    async with place.open() as worker:
        agent = Agent(place)
        await agent.meet(worker)
        async with watching(agent) as watcher:
            await agent.say(20.0)
            await eventually(lambda: len(watcher.loud) > 30)
            agent.interrupt()
            await eventually(lambda: agent.finished)
            await eventually(lambda: time.monotonic() > watcher.loud[-1] + 0.5)
            heard_s = len(watcher.loud) / 100
            (event,) = agent.finished
            assert event.interrupted
            lasted_s = watcher.loud[-1] - watcher.loud[0]  # longer, where the machine was held up
            assert heard_s - 0.25 < event.playback_position < lasted_s + 0.25
            await agent.say(0.4)
            await eventually(lambda: len(agent.finished) > 1)
        assert (agent.finished[1].playback_position, agent.finished[1].interrupted) == (0.4, False)


async def test_every_segment_is_finished_once() -> None:
    place = Workplace()
    async with place.open() as worker:
        agent = Agent(place)
        await agent.meet(worker)
        for seconds in (0.3, 0.2, 5.0, 5.0):
            await agent.say(seconds)
        await eventually(lambda: len(agent.finished) == 2)
        await eventually(lambda: agent.started == 3)
        agent.interrupt()
        await eventually(lambda: len(agent.finished) == 4)
        called = agent.face.local_participant.called
    ends = [json.loads(payload)["interrupted"] for method, payload in called if method == "lk.playback_finished"]
    assert ends == [False, False, True, True]
    assert agent.finished[3].playback_position == 0


async def test_two_rooms_have_a_face_each_and_a_third_waits_for_a_place() -> None:
    place = Workplace()
    async with place.open() as worker, aiohttp.ClientSession() as http:
        agents = [Agent(place, f"agent-{number}") for number in range(3)]
        for number, agent in enumerate(agents[:2]):  # LiveKit's classes tell faces of a process apart by identity
            await agent.meet(worker, identity=f"avatar-{number}")
        await agents[0].say(0.3)
        await eventually(lambda: agents[0].finished)
        assert not agents[1].finished
        async with http.get(f"{worker}/load") as response:
            assert await response.json() == {"rooms": 2, "most": 2, "load": 1.0}
        body = {"livekit_url": "ws://localhost:1", "livekit_token": "", "agent": "agent-2"}
        async with http.post(f"{worker}/rooms", json=body) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "5")
            assert await response.text() == "all 2 places are taken; try again in a moment\n"
        await agents[0].room.disconnect()  # its face leaves, too
        await eventually(lambda: place.worker.load == 0.5)
        await agents[2].meet(worker)
        await agents[2].say(0.2)
        await eventually(lambda: agents[2].finished)


@pytest.mark.parametrize(
    ("body", "headers", "status", "told"),
    [
        (b"{", {}, 400, "the request cannot be used"),
        (b'{"livekit_url": "ws://x", "agent": "a"}', {}, 400, "livekit_token"),
        (b'{"livekit_url": "file:///etc", "livekit_token": "", "agent": "a"}', {}, 400, "expected wss://"),
        (b"{}", {"Content-Type": "text/plain"}, 415, "application/json"),
        (b"{}", {"Origin": "https://evil.example"}, 403, "pages do not ask"),
        (b"{}", {"Authorization": "Bearer wrong"}, 401, "secret"),
        (b" " * 20_000, {}, 413, ""),
    ],
)
async def test_what_cannot_be_used_is_refused_in_a_line(
    body: bytes, headers: dict[str, str], status: int, told: str
) -> None:
    given = {"Content-Type": "application/json", "Authorization": "Bearer right"} | headers
    async with (
        Workplace("right").open() as worker,
        aiohttp.ClientSession() as http,
        http.post(f"{worker}/rooms", data=body, headers=given) as response,
    ):
        assert response.status == status
        assert told in await response.text()


async def test_the_agent_learns_why_there_is_no_face() -> None:
    place = Workplace("right")
    async with place.open() as worker:
        with pytest.raises(AvatarSessionError, match="401, the worker's secret is needed"):
            await Agent(place).meet(worker, secret="wrong")
        agent = Agent(place)
        del place.houses["agent"]
        with pytest.raises(AvatarSessionError, match="502, the face cannot join: 'agent'"):
            await agent.meet(worker, secret="right")
        await eventually(lambda: place.worker.load == 0)


async def test_without_a_secret_other_machines_are_refused() -> None:
    with pytest.raises(ValueError, match=r"host 0\.0\.0\.0 is reached from elsewhere"):
        await serve(RoomWorker(lambda avatar: LevelFace()), host="0.0.0.0")


@pytest.mark.process
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
async def test_the_example_agent_speaks_through_its_face() -> None:
    """All of a real session but the room: text, speech, and its being heard."""
    place = Workplace()
    async with place.open() as worker:
        agent = Agent(place, session=AgentSession(tts=Espeak()))
        await agent.meet(worker)
        await agent.session.start(LiveKitAgent(instructions="You greet people."))
        async with watching(agent) as watcher:
            await agent.session.say("Hello!")
            await eventually(lambda: len(watcher.loud) > 5)
        await agent.session.aclose()
    (event,) = agent.finished
    assert not event.interrupted
    assert 0.3 < event.playback_position < 2


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_example_worker_tells_its_load_and_ends_by_a_signal(number: signal.Signals) -> None:
    port = free_port()
    command = [sys.executable, "examples/livekit_worker.py", "--port", str(port), "--rooms", "3"]
    worker = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        async with asyncio.timeout(150), aiohttp.ClientSession() as http:
            while True:
                with contextlib.suppress(aiohttp.ClientConnectionError):
                    async with http.get(f"http://localhost:{port}/load") as response:
                        assert await response.json() == {"rooms": 0, "most": 3, "load": 0.0}
                        break
                await asyncio.sleep(0.1)
            worker.send_signal(number)
            assert await worker.wait() == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            worker.kill()
        await worker.wait()
