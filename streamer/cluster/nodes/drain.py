"""Draining a worker: it takes no new sessions, and those it has end when they are silent, so that no word is lost.

A page whose session ends calls again by itself, and is placed elsewhere.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from streamer.core.aio import Clock
from streamer.server.registry import Lobby
from streamer.session.control import Control
from streamer.session.speech.speech_port import SpeechPort

LOOK_S = 0.1  # between two looks at who is silent
EACH_LOOK = 1  # sessions that move at a time: whoever takes them has to begin them
PATIENCE_S = 600.0  # with one that is never silent
REASON = "the worker is being drained; call again"


class Moving(Protocol):
    """A session that may have to move."""

    control: Control
    speech: SpeechPort


def is_silent(session: Moving) -> bool:
    """Whether nothing is heard of it now and nothing waits to be."""
    return session.control.state.state == "idle" and not session.speech.pushed.waiting


class Drain:
    """Of one worker's sessions."""

    def __init__(self, lobby: Lobby, clock: Clock) -> None:
        self._lobby = lobby
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    @property
    def begun(self) -> bool:
        """Whether it is under way, or over."""
        return self._task is not None

    def begin(self) -> None:
        """Let no more in from now on, and end what there is; safe to call twice."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="draining")

    async def _run(self) -> None:
        end = self._clock.now() + PATIENCE_S
        while True:
            sessions = list(self._lobby.sessions.values())
            over = self._clock.now() > end
            for session in [each for each in sessions if over or is_silent(each)][:EACH_LOOK]:
                await session.close(REASON)
            await self._clock.sleep_until(self._clock.now() + LOOK_S)
