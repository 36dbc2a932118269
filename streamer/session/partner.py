"""Conversation partner of the user, for sessions whose microphone is listened to but not played as the face's voice."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from streamer.audio.format import Samples
from streamer.session.timeline import MicrophoneTimeline


class Partner(Protocol):
    """A listener to the microphone that may speak through the session's face."""

    def hear(self, samples: Samples) -> None:
        """Take the next microphone samples, gapless: int16 [n, 2] at 48 kHz."""

    async def talk(self) -> None:
        """Take part in the conversation until cancelled."""


class Ear:
    """Feeds the microphone's sound to a partner without gaps; times are seconds of the session's clock."""

    def __init__(self, partner: Partner) -> None:
        self.muted = False
        self._partner = partner
        self._timeline = MicrophoneTimeline()

    def hear(self, pts: int, samples: Samples, now: float) -> None:
        """Take a packet: int16 [n, 2], `pts` in the sender's count."""
        self._timeline.push(pts, np.zeros_like(samples) if self.muted else samples, now)
        self._pass_on()

    def tick(self, now: float) -> None:
        """Advance time: fill with silence if the sender sends nothing."""
        self._timeline.close(now)
        self._pass_on()

    def _pass_on(self) -> None:
        if len(samples := self._timeline.pop()):
            self._partner.hear(samples)
