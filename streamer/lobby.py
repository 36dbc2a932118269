"""Who is being talked to: sessions by their secret address, how many there may be, and what they counted."""

from __future__ import annotations

import asyncio
import logging
import secrets

from streamer.clock import Clock
from streamer.errors import SessionError
from streamer.limits import Limits
from streamer.metrics import SessionCounts
from streamer.session import Session, SessionOptions
from streamer.worker import InferenceWorker, WorkerState

logger = logging.getLogger(__name__)


class NoRoomError(SessionError):
    """No session can be opened now; later one may."""


class Lobby:
    """Opens sessions on a worker, at most `max_sessions` at a time, and closes them by their token."""

    def __init__(self, worker: InferenceWorker, max_sessions: int, limits: Limits, clock: Clock) -> None:
        self.opened = 0
        self._worker = worker
        self._max_sessions = max_sessions
        self._limits = limits
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        self._ended = SessionCounts()

    @property
    def open_sessions(self) -> int:
        """Sessions now."""
        return len(self._sessions)

    def counts(self) -> SessionCounts:
        """Of all sessions, the ended ones too."""
        total = SessionCounts()
        total.add(self._ended)
        for session in self._sessions.values():
            total.add(session.counts())
        return total

    async def admit(self, offer: str, options: SessionOptions) -> tuple[str, str, int]:
        """Open a session: its token, the SDP answer and the delay in ms.

        Raises:
            NoRoomError: the engines are not ready, or there are too many sessions.
            OfferError: the offer cannot be answered.
        """
        if self._worker.state is not WorkerState.READY:
            raise NoRoomError("the engines are not ready yet; try again in a moment")
        if len(self._sessions) >= self._max_sessions:
            raise NoRoomError(f"all {self._max_sessions} places are taken; try again in a moment")
        token = secrets.token_urlsafe(24)
        session = Session(options, self._worker, self._limits, self._clock, lambda ended: self._forget(token, ended))
        self._sessions[token] = session
        answer = await session.answer(offer)
        self.opened += 1
        return token, answer, session.delay_ms

    def find(self, token: str) -> Session | None:
        """The session with this token."""
        return self._sessions.get(token)

    async def dismiss(self, token: str) -> bool:
        """Close a session; False when there is none with this token."""
        session = self._sessions.get(token)
        if session is None:
            return False
        await session.close("the client left")
        return True

    async def close(self) -> None:
        """Close all sessions at once."""
        await asyncio.gather(*(session.close("the server is stopping") for session in list(self._sessions.values())))

    def _forget(self, token: str, session: Session) -> None:
        if self._sessions.pop(token, None) is not None:
            self._ended.add(session.counts())
