"""Listens to the person talked to, in a session whose face a program speaks through: when they speak, and pause."""

from __future__ import annotations

import asyncio

from streamer.audio.decimator import Decimator
from streamer.audio.format import RATE, Samples
from streamer.audio.voice_activity import Probability, VoiceActivity
from streamer.session.control import Control

THINKING_S = 6.0  # at most, after they have finished; then no answer is expected any more


class Listener:
    """A `partner.Partner` that says nothing itself."""

    def __init__(self, probability: Probability, control: Control) -> None:
        self._decimator = Decimator()
        self._voice = VoiceActivity(probability)
        self._control = control
        self._waited: float | None = None  # seconds since they have finished, until there is an answer

    def hear(self, samples: Samples) -> None:
        """Take more of the microphone: int16 [n, 2] at 48 kHz."""
        was_speaking = self._voice.speaking
        self._voice.push(self._decimator.push(samples))
        self._control.pausing = self._voice.pausing
        if self._voice.speaking != was_speaking:
            self._control.attend("listening" if self._voice.speaking else "thinking")
            self._waited = None if self._voice.speaking else 0.0
        elif self._waited is not None:
            self._waited += len(samples) / RATE
            if self._waited > THINKING_S or self._control.state.state == "speaking":
                self._control.attend(None)
                self._waited = None

    async def talk(self) -> None:
        """Wait to be cancelled."""
        await asyncio.Event().wait()
