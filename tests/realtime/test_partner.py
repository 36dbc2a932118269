"""A voice agent speaks through a session: what it says is heard, and what was not heard was not said.

The agent is a real server of the protocol; the session's time is stepped by the test, so positions are exact.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from examples.realtime_backend import connect
from streamer.audio.format import AUDIO_BLOCK, MS, Samples
from streamer.core.limits import SpeechLimits
from streamer.realtime.partner import MOST_BYTES, RealtimePartner
from streamer.realtime.settings import RealtimeSettings
from streamer.session.control import Control
from streamer.session.control_protocol import Agent, Caption, Event, State
from streamer.session.conversation import Conversation, NoFace
from streamer.session.partner import Ear
from streamer.session.playout import Playout
from streamer.session.speech.speech_line import SpeechLine
from streamer.session.speech.speech_port import SpeechPort
from tests.fakes.clock import FakeClock
from tests.fakes.realtime_backend import SPOKEN, TRANSCRIPT, RealtimeBackend
from tests.waiting import PATIENCE_S, eventually

DELAY_MS = 100
BLOCK_S = 0.02


class Room:
    """A session with a partner, whose time passes by the block."""

    def __init__(self, settings: RealtimeSettings) -> None:
        playout = Playout(DELAY_MS, np.zeros((2, 2, 3), np.uint8))
        self.conversation = Conversation(NoFace(), playout)
        self.port = SpeechPort(SpeechLimits(), self.conversation, 0.0)
        self.line = SpeechLine(self.port)
        self.control = Control(self.conversation, self.line, lambda background: background)
        self.clock = FakeClock()
        self.notes: list[str] = []
        self.events: list[Event] = []
        self.control.watch(self.events.append)
        self.partner = RealtimePartner(settings, self.port, self.control, self.clock, self.notes.append)
        self.ear = Ear(self.partner)
        self.sound: list[Samples] = [np.zeros((AUDIO_BLOCK, 2), np.int16)]
        self.block = 0
        self.conversation.begin(0.0)

    @property
    def states(self) -> list[str]:
        """Those that were told, in order."""
        found = [event.state for event in self.events if isinstance(event, State)]
        return [state for at, state in enumerate(found) if at == 0 or found[at - 1] != state]

    def captions(self, of: str, final: bool = True) -> list[Caption]:
        found = [event for event in self.events if isinstance(event, Caption)]
        return [caption for caption in found if (caption.of, caption.final) == (of, final)]

    def connected(self) -> bool:
        return Agent(True) in self.events

    async def live(self, seconds: float, voice: float = 0.0) -> Samples:
        """Let time pass; the microphone hears a tone of amplitude `voice`. Return what was heard meanwhile."""
        heard = []
        for _ in range(round(seconds / BLOCK_S)):
            self.block += 1
            now = self.block * BLOCK_S
            tone = voice * 32767 * np.sin(np.arange(AUDIO_BLOCK) * 2 * np.pi * 400 / 48_000)
            self.ear.hear(self.block * AUDIO_BLOCK, np.stack([tone, tone], 1).astype(np.int16), now)
            self.conversation.tick(now)
            heard.append(self.conversation.playout.pull_audio(self.block))
            self.control.hear(heard[-1])
            self.port.report(self.conversation.playout.position)
            await asyncio.sleep(0)
        self.sound += heard
        return np.concatenate(heard)

    async def until(self, condition: Callable[[], object], voice: float = 0.0) -> None:
        """Let time pass until a condition is true."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await self.live(BLOCK_S, voice)
                await asyncio.sleep(0.002)

    def voiced_ms(self) -> int:
        """Milliseconds in which there was sound."""
        level = np.abs(np.concatenate(self.sound)[:, 0]).reshape(-1, MS).max(axis=1)
        return int(np.count_nonzero(level))


@asynccontextmanager
async def talking(room: Room) -> AsyncIterator[None]:
    task = asyncio.create_task(room.partner.talk())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def room_of(
    backend: RealtimeBackend, settings: Callable[[str], RealtimeSettings] = RealtimeSettings
) -> AsyncIterator[Room]:
    async with backend.serving():
        room = Room(settings(backend.url))
        async with talking(room):
            yield room


@pytest.mark.parametrize("modern", [True, False])
async def test_who_speaks_is_answered_and_both_are_captioned(modern: bool) -> None:
    backend = RealtimeBackend(modern, answer_ms=1_000)
    async with room_of(backend) as room:
        await eventually(room.connected)
        await room.live(0.5, voice=0.5)
        await room.until(lambda: room.captions("face"))
        await room.live(0.5)
    assert room.states == ["listening", "thinking", "speaking", "idle"]
    assert room.captions("person") == [Caption("person", SPOKEN, True)]
    assert room.captions("face") == [Caption("face", TRANSCRIPT, True)]
    growing = [caption.text for caption in room.captions("face", final=False)]
    assert all(TRANSCRIPT.startswith(text) for text in growing)
    assert len(growing) > 1
    assert 990 <= room.voiced_ms() <= 1_010
    assert not backend.refused
    assert not backend.truncated


async def test_a_barge_in_is_silence_at_once_and_truncates_where_it_was_heard() -> None:
    backend = RealtimeBackend(answer_ms=4_000, piece_s=0.01, late=5)
    async with room_of(backend) as room:
        await eventually(room.connected)
        await room.live(0.3, voice=0.5)
        await room.until(lambda: room.voiced_ms() > 700)
        await room.until(lambda: room.states[-1] == "listening", voice=0.5)
        await room.live(BLOCK_S)  # in which the sound fades
        cut_ms = room.voiced_ms()
        assert not (await room.live(0.5)).any()
        await eventually(lambda: backend.truncated)
        (heard_ms,) = backend.truncated.values()
        assert abs(heard_ms - cut_ms) <= 12  # the fade's own 10 ms and what rounds to nothing in it
        (caption,) = room.captions("face")
        assert caption.interrupted
        assert TRANSCRIPT.startswith(caption.text)
        assert 0 < len(caption.text) <= 0.02 * heard_ms  # though all words were there from the start
        await room.until(lambda: "_2" in "".join(backend._made) and room.states[-1] == "speaking")  # it goes on
    assert set(backend.refused) <= {"response_cancel_not_active"}


async def test_the_end_of_a_cancelled_answer_does_not_end_listening() -> None:
    backend = RealtimeBackend()
    async with room_of(backend) as room:
        await eventually(room.connected)
        await backend.send("response.created", response={"id": "one", "status": "in_progress"})
        await backend.send("input_audio_buffer.speech_started", audio_start_ms=0, item_id="person_1")
        await room.until(lambda: room.states[-1:] == ["listening"])
        await backend.send("response.done", response={"id": "one", "status": "cancelled"})
        await backend.send("input_audio_buffer.speech_stopped", audio_end_ms=0, item_id="person_1")
        await room.until(lambda: room.states[-1] != "listening")
        await room.live(0.1)
        assert room.states[-2:] == ["listening", "thinking"]


async def test_an_interruption_by_a_program_reaches_the_agent() -> None:
    backend = RealtimeBackend(answer_ms=4_000, piece_s=0.05)
    async with room_of(backend) as room:
        await eventually(room.connected)
        backend.answer()
        await room.until(lambda: room.voiced_ms() > 300)
        room.line.interrupt()
        await room.live(0.1)
        await eventually(lambda: backend.cancelled and backend.truncated)
        assert backend.cancelled == ["response_1"]
        assert abs(backend.truncated["item_1"] - room.voiced_ms()) <= 12
        assert not backend.refused


async def test_an_answer_that_nobody_heard_is_truncated_to_nothing() -> None:
    backend = RealtimeBackend(answer_ms=1_000)
    async with room_of(backend) as room:
        await eventually(room.connected)
        backend.answer()
        await eventually(lambda: room.port.pushed.buffered_s > 0.9)
        room.line.interrupt()
        await eventually(lambda: backend.truncated)
        assert backend.truncated == {"item_1": 0}
        assert room.captions("face") == [Caption("face", "", True, True)]


async def test_without_its_key_the_agent_is_called_in_vain() -> None:
    backend = RealtimeBackend(key="a-key")
    async with room_of(backend) as room:
        await eventually(lambda: room.notes)
        assert "it answered 401, expected a WebSocket; check the key; calling it again" in room.notes[0]
    assert not backend.connections


async def test_the_example_repeats_what_it_hears() -> None:
    app = web.Application()
    app.router.add_get("/", connect)
    async with TestServer(app) as server:
        room = Room(RealtimeSettings(f"ws://127.0.0.1:{server.port}/"))
        async with talking(room):
            await eventually(room.connected)
            await room.live(0.6, voice=0.5)
            await room.until(lambda: room.captions("face"))
        assert 550 <= room.voiced_ms() <= 700


async def test_what_the_agent_is_asked_for_is_merged_with_the_kind_of_sound() -> None:
    backend = RealtimeBackend(key="a-key")
    wanted = {"instructions": "Be brief.", "audio": {"output": {"voice": "cedar", "format": {"rate": 8000}}}}
    async with room_of(backend, lambda url: RealtimeSettings(url, "a-key", wanted)):
        await eventually(lambda: backend.settings)
    (session,) = backend.settings
    assert session["instructions"] == "Be brief."
    assert session["audio"]["output"] == {"voice": "cedar", "format": {"type": "audio/pcm", "rate": 24_000}}


def audio(sound: str, item: str = "item_1") -> str:
    return json.dumps({"type": "response.output_audio.delta", "item_id": item, "content_index": 0, "delta": sound})


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ("no JSON", "no message of the Realtime protocol"),
        ("[1]", "no message of the Realtime protocol"),
        ('{"type": "response.created", "response": 7}', "no message of the Realtime protocol"),
        ("[" * 5_000, "no message of the Realtime protocol"),
        (audio("&&&&"), "not base64"),
        (audio(base64.b64encode(b"odd").decode()), "3 bytes of sound"),
        (audio("A" * MOST_BYTES), "ended the connection"),
        (b"binary", "a binary message"),
    ],
)
async def test_a_backend_that_misbehaves_is_left_and_called_again(sent: str | bytes, words: str) -> None:
    backend = RealtimeBackend(answer_ms=400)
    async with room_of(backend) as room:
        await eventually(room.connected)
        if isinstance(sent, bytes):
            await backend.send_bytes(sent)
        else:
            await backend.send_text(sent)
        await eventually(lambda: room.notes)
        assert words in room.notes[0]
        assert room.notes[0].count("\n") == 0
        assert len(room.notes[0]) < 600
        assert any(isinstance(event, Agent) and not event.connected for event in room.events)
        room.events.clear()
        await eventually(lambda: room.clock._sleepers)
        await room.clock.advance(1.0)
        await eventually(room.connected)  # it talks as before
        backend.answer()
        await room.until(lambda: room.captions("face"))
        assert backend.connections == 2


async def test_too_much_speech_is_dropped_and_said() -> None:
    backend = RealtimeBackend(answer_ms=400)
    minute = base64.b64encode(bytes(24_000 * 2 * 60)).decode()
    async with room_of(backend) as room:
        await eventually(room.connected)
        for _ in range(6):
            await backend.send_text(audio(minute))
        await eventually(lambda: room.notes)
        assert "300 s of speech ahead of what was heard; all of it was dropped" in room.notes[0]
        assert room.port.pushed.buffered_s == 0


async def test_an_error_of_the_agent_is_told_and_changes_nothing() -> None:
    backend = RealtimeBackend(answer_ms=400)
    async with room_of(backend) as room:
        await eventually(room.connected)
        await backend.send("error", error={"code": "invalid_value", "message": "Unknown voice\n'cedar'."})
        await eventually(lambda: room.notes)
        assert room.notes[0].endswith("says: Unknown voice 'cedar'.")
        assert Agent(True, "Unknown voice 'cedar'.") in room.events
        backend.answer()
        await room.until(lambda: room.captions("face"))
    assert backend.connections == 1
