"""Drain a worker: it accepts no new sessions, and open sessions are closed while they are silent, so no word is lost.

A page whose session was closed calls again by itself, and is placed on another worker.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from streamer.core.aio import Clock
from streamer.server.registry import Lobby
from streamer.session.control import Control
from streamer.session.speech.speech_port import SpeechPort

LOOK_S = 0.1  # interval of checks for silent sessions
EACH_LOOK = 1  # sessions closed per check: other workers have to open them again
PATIENCE_S = 600.0  # after which sessions are closed even if they are not silent
REASON = "the worker is being drained; call again"


class Moving(Protocol):
    """A session that can be moved to another worker."""

    control: Control
    speech: SpeechPort


def is_silent(session: Moving) -> bool:
    """Return whether the session is idle and has no pushed speech waiting."""
    return session.control.state.state == "idle" and not session.speech.pushed.waiting


class Drain:
    """Draining of one worker."""

    def __init__(self, lobby: Lobby, clock: Clock) -> None:
        self._lobby = lobby
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    @property
    def begun(self) -> bool:
        """Whether draining has started."""
        return self._task is not None

    def begin(self) -> None:
        """Start draining: refuse new sessions and close the open ones; safe to call twice."""
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
