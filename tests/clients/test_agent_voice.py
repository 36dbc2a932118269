"""An agent's voice: it is heard after a lost connection again, and every utterance has an end."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any
from urllib.parse import urlsplit

import pytest

from clients.agent_voice import AgentVoice
from clients.speech import SpeechClientError
from streamer.core.aio import MonotonicClock
from tests.fakes.local import Ear, Screen
from tests.fakes.shown import RATE, LevelFace, tone
from tests.waiting import eventually


class Agent:
    """An agent's side, with what it was told."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def note(self, event: dict[str, Any]) -> None:
        self.events.append(event)

    def ends(self) -> list[tuple[int, int, bool]]:
        finals = [event for event in self.events if event.get("final")]
        return [(event["speech"], event["position_ms"], event["interrupted"]) for event in finals]


class Wire:
    """A way to an address, which can be cut."""

    def __init__(self, address: str) -> None:
        self._there = urlsplit(address)
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Wire:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.address = f"ws://localhost:{self._server.sockets[0].getsockname()[1]}{self._there.path}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection(self._there.hostname, self._there.port)
        self._writers += [writer, forth]
        await asyncio.gather(self._copy(reader, forth), self._copy(back, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
        writer.close()


def ends() -> tuple[Screen, Ear]:
    clock = MonotonicClock()
    return Screen(clock), Ear(clock)


@pytest.mark.slow
async def test_pieces_of_one_format_are_one_utterance() -> None:
    agent = Agent()
    async with LevelFace().open(*ends()) as showing, AgentVoice(showing.address, agent.note) as voice:
        numbers = [await voice.push(tone(0.1), RATE), await voice.push(tone(0.1), RATE)]
        numbers += [await voice.push(tone(0.1), RATE // 2)]
        assert await voice.end() == 2
        assert await voice.end() is None
        async with asyncio.timeout(60):
            await voice.idle()
        await eventually(lambda: len(agent.ends()) == 2)
    assert numbers == [1, 1, 2]
    assert agent.ends() == [(1, 200, False), (2, 200, False)]


@pytest.mark.slow
async def test_after_a_lost_connection_the_next_words_are_heard_and_the_last_have_an_end() -> None:
    agent, face = Agent(), LevelFace()
    async with (
        face.open(*ends()) as showing,
        Wire(showing.address) as wire,
        AgentVoice(wire.address, agent.note) as voice,
    ):
        await voice.push(tone(5.0), RATE)
        await eventually(lambda: any(event["type"] == "played" for event in agent.events))
        wire.cut()
        await eventually(lambda: bool(agent.ends()))
        assert await voice.push(tone(0.2), RATE) == 2
        await voice.end()
        await eventually(lambda: len(agent.ends()) == 2)
    (number, heard_ms, interrupted), last = agent.ends()
    assert (number, interrupted, last) == (1, True, (2, 200, False))
    assert 0 < heard_ms < 5000


@pytest.mark.slow
async def test_a_face_that_is_not_there_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clients.agent_voice.RECONNECT_S", 0.1)
    with pytest.raises(SpeechClientError, match="localhost:9"):
        await AgentVoice("ws://localhost:9/speech", Agent().note).__aenter__()
