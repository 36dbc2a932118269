"""Who is talked to where the microphone is not the face's own voice: it is heard, and not played."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from streamer.audio.format import Samples
from streamer.session.timeline import MicrophoneTimeline


class Partner(Protocol):
    """Listens to the microphone, and may speak through the session's face."""

    def hear(self, samples: Samples) -> None:
        """Take more of the microphone, gapless: int16 [n, 2] at 48 kHz."""

    async def talk(self) -> None:
        """Be part of the conversation until it is cancelled."""


class Ear:
    """Gives a partner the microphone's sound without gaps; times are seconds of the session's clock."""

    def __init__(self, partner: Partner) -> None:
        self.muted = False
        self._partner = partner
        self._timeline = MicrophoneTimeline()

    def hear(self, pts: int, samples: Samples, now: float) -> None:
        """Take a packet: int16 [n, 2], `pts` in the sender's count."""
        self._timeline.push(pts, np.zeros_like(samples) if self.muted else samples, now)
        self._pass_on()

    def tick(self, now: float) -> None:
        """Let time pass: a sender that says nothing is silent."""
        self._timeline.close(now)
        self._pass_on()

    def _pass_on(self) -> None:
        if len(samples := self._timeline.pop()):
            self._partner.hear(samples)
