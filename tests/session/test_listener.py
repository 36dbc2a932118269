"""A session is told when the person talked to speaks, and for how long an answer is expected."""

from __future__ import annotations

import numpy as np

from streamer.audio.format import AUDIO_BLOCK
from streamer.core.frames import FloatArray
from streamer.core.limits import SpeechLimits
from streamer.session.control import Control
from streamer.session.control_protocol import Event, State
from streamer.session.conversation import Conversation, NoFace
from streamer.session.listener import THINKING_S, Listener
from streamer.session.playout import Playout
from streamer.session.speech.speech_line import SpeechLine
from streamer.session.speech.speech_port import SpeechPort


def loud(samples: FloatArray) -> float:
    return float(np.abs(samples).max() > 0.1)


class Room:
    def __init__(self) -> None:
        conversation = Conversation(NoFace(), Playout(100, np.zeros((2, 2, 3), np.uint8)))
        self.control = Control(conversation, SpeechLine(SpeechPort(SpeechLimits(), conversation, 0.0)), lambda it: it)
        self.events: list[Event] = []
        self.control.watch(self.events.append)
        self.listener = Listener(loud, self.control)

    def hear(self, seconds: float, level: float, answer: float = 0.0) -> str:
        """The person speaks at a level while the face says something at another; the state after it."""
        wave = np.sin(np.arange(AUDIO_BLOCK) * 2 * np.pi * 500 / 48_000)[:, None] * np.ones(2)
        for _ in range(round(seconds * 50)):
            self.listener.hear((level * 32767 * wave).astype(np.int16))
            self.control.hear((answer * 32767 * wave).astype(np.int16))
        return self.control.state.state


def test_an_answer_is_expected_after_speech_and_ends_the_waiting() -> None:
    room = Room()
    assert room.hear(1.0, 0.0) == "idle"
    assert room.hear(1.0, 0.5) == "listening"
    assert room.hear(1.0, 0.0) == "thinking"
    assert room.hear(0.5, 0.0, answer=0.5) == "speaking"
    assert room.hear(1.0, 0.0) == "idle"
    assert [event.state for event in room.events if isinstance(event, State)] == [
        "listening", "thinking", "speaking", "idle",
    ]  # fmt: skip


def test_an_answer_that_does_not_come_is_not_waited_for_for_ever() -> None:
    room = Room()
    room.hear(1.0, 0.5)
    assert room.hear(THINKING_S - 1, 0.0) == "thinking"
    assert room.hear(2.0, 0.0) == "idle"


def test_who_talks_over_the_face_is_listened_to_when_it_stops() -> None:
    room = Room()
    assert room.hear(1.0, 0.5, answer=0.5) == "speaking"
    assert room.hear(0.2, 0.5) == "listening"
