"""Detects when the user speaks and pauses, in a session where a program speaks through the face."""

from __future__ import annotations

import asyncio

from streamer.audio.decimator import Decimator
from streamer.audio.format import RATE, Samples
from streamer.audio.voice_activity import Probability, VoiceActivity
from streamer.session.control import Control

THINKING_S = 6.0  # after the user has finished; then the face stops waiting for an answer


class Listener:
    """A `partner.Partner` that listens and never speaks."""

    def __init__(self, probability: Probability, control: Control) -> None:
        self._decimator = Decimator()
        self._voice = VoiceActivity(probability)
        self._control = control
        self._waited: float | None = None  # seconds since the user finished; None when not waiting for an answer

    def hear(self, samples: Samples) -> None:
        """Take the next microphone samples: int16 [n, 2] at 48 kHz."""
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
        """Wait until cancelled."""
        await asyncio.Event().wait()
