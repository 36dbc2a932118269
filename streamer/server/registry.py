"""Registry of open sessions: lookup by token or key, the session limit, and total counters.

A session may also be opened with a key, a secret chosen by the caller. The session can then be found by its key, too,
and a newer call with the same key replaces the older one. Each session has an owner, taken from the caller's access
token: other owners cannot find it, and the same key of two owners counts as two keys.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Mapping

from streamer.access.grant import EVERYTHING, Grant
from streamer.core import log
from streamer.core.aio import Clock
from streamer.core.console import note
from streamer.core.errors import SessionError
from streamer.core.limits import Limits
from streamer.inference.worker import InferenceWorker, WorkerState
from streamer.server.admission.capacity import most_sessions
from streamer.server.admission.places import NoRoomError, Places
from streamer.server.admission.waiting_line import WaitingLine
from streamer.server.metrics import SessionCounts
from streamer.server.peer_session import Session
from streamer.server.session_options import PeerOptions

logger = logging.getLogger(__name__)

PATIENCE_S = 2.0  # how long to wait for a place to become free
REMEMBERED = 64  # replaced sessions to remember, so that their pages get the reason


class ReplacedError(SessionError):
    """A newer call with the same key replaced this one."""


class Lobby:
    """Opens sessions on a worker, at most `max_sessions` at a time, and closes them by token.

    max_sessions: None means the machine's measured capacity, see `capacity`.
    """

    def __init__(
        self,
        worker: InferenceWorker,
        max_sessions: int | None,
        limits: Limits,
        clock: Clock,
        tell: Callable[[str], None] = note,
    ) -> None:
        """tell: gets one line when a session begins and one when it ends."""
        self._tell = tell
        self._numbers: dict[str, int] = {}  # shown in messages, as the token is a secret
        self.opened = 0
        self._worker = worker
        self._limits = limits
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        self._keys: dict[str, str] = {}  # by token, for sessions with a key
        self._owners: dict[str, str] = {}
        self._replaced: deque[str] = deque(maxlen=REMEMBERED)
        self._ended = SessionCounts()
        self._most = most_sessions(max_sessions, lambda: worker.pulse, lambda: self.open_sessions)
        self._places = Places(self._most, clock)
        self._line = asyncio.Lock()

    @property
    def open_sessions(self) -> int:
        """The number of open sessions."""
        return len(self._sessions)

    @property
    def sessions(self) -> Mapping[str, Session]:
        """The open sessions, by token."""
        return self._sessions

    @property
    def ready(self) -> bool:
        """Whether the engines are warm."""
        return self._worker.state is WorkerState.READY

    @property
    def most_sessions(self) -> int:
        """The current session limit."""
        return self._most()

    @property
    def waiting(self) -> WaitingLine:
        """The line of callers that wait for a place."""
        return self._places.line

    @property
    def speech_clients(self) -> int:
        """The number of sessions with a connected speech client."""
        return sum(session.speech.is_taken for session in self._sessions.values())

    @property
    def displaced(self) -> int:
        """The number of sessions evicted for another caller."""
        return self._places.given_way

    def counts(self) -> SessionCounts:
        """Return the total counters of all sessions, including ended ones."""
        total = SessionCounts()
        total.add(self._ended)
        for session in self._sessions.values():
            total.add(session.counts())
        return total

    def check_room(self, address: str, key: str | None = None, ticket: str | None = None, owner: str = "") -> None:
        """Check cheaply whether a session could be opened now or soon. Raises NoRoomError.

        ticket: the caller's ticket for the waiting line; see `waiting_line`.
        """
        self._check_worker()
        if key is None or self._token_of(key, owner) is None:
            self._places.check(address, self._clock.now() + PATIENCE_S, ticket)

    async def admit(
        self,
        offer: str,
        prepare: Callable[[], Awaitable[PeerOptions]],
        address: str = "",
        key: str | None = None,
        owner: str = "",
    ) -> tuple[str, str, int]:
        """Open a session; return its token, the SDP answer and the delay in ms.

        key: an older session with this key is closed first.
        offer: has passed `check_offer`. prepare: called once the session has a place; may be expensive.
        address: the caller's address. owner: the session's owner.

        Raises:
            NoRoomError: the engines are not ready, or there are too many sessions.
            OfferError: the offer cannot be answered.
            ReplacedError: a newer call with the same key arrived meanwhile.
            SessionError: the session ended meanwhile, for another reason.
        """
        self._check_worker()
        while key is not None and (older := self._token_of(key, owner)) is not None:  # more calls may arrive meanwhile
            self._replaced.append(older)
            await self._sessions[older].close("a newer call has its key")
        token = secrets.token_urlsafe(24)
        with log.of_session(token):
            return await self._admit(token, offer, prepare, address, key, owner)

    async def _admit(
        self,
        token: str,
        offer: str,
        prepare: Callable[[], Awaitable[PeerOptions]],
        address: str,
        key: str | None,
        owner: str,
    ) -> tuple[str, str, int]:
        async with self._line:  # first come, first served
            await self._places.take(token, address, self._clock.now() + PATIENCE_S)
        try:
            options = await prepare()
            session = Session(options, self._worker, self._limits, self._clock, lambda over: self._forget(token, over))
        except BaseException:
            self._places.leave(token)
            raise
        self._sessions[token] = session
        self._owners[token] = owner
        self._places.seat(token, session)
        if key is not None:
            self._keys[token] = key
        try:
            answer = await session.answer(offer)
        except SessionError:
            if self.was_replaced(token):
                raise ReplacedError("a newer call with the same key has taken this session's place") from None
            raise
        self.opened += 1
        self._numbers[token] = self.opened
        face = f"avatar {options.avatar}" + ("" if options.microphone else ", for pushed speech")
        self._tell(f"session {self.opened} begins: {face}, for {address or 'a program'}")
        return token, answer, session.delay_ms

    def find(self, token_or_key: str, asking: Grant = EVERYTHING) -> Session | None:
        """Return the session with this token or key, or None if the caller does not own it."""
        token = token_or_key if token_or_key in self._sessions else self._token_of(token_or_key, asking.owner)
        return self._theirs(token, asking)

    def watched(self, name: str, asking: Grant = EVERYTHING) -> Session | None:
        """Return the session with this watch address, token or key, or None if the caller does not own it."""
        found = self.find(name, asking)
        for token in self._sessions:  # compares all, in constant time
            if secrets.compare_digest(watch_address(token).encode(), name.encode()):
                found = self._theirs(token, asking)
        return found

    def was_replaced(self, token: str) -> bool:
        """Return whether a newer call with the same key replaced this session."""
        return token in self._replaced

    async def dismiss(self, token: str, asking: Grant = EVERYTHING) -> bool:
        """Close a session; return False if the caller has no session with this token."""
        session = self._theirs(token, asking)
        if session is None:
            return False
        await session.close("the client left")
        return True

    async def close(self) -> None:
        """Close all sessions at once."""
        await asyncio.gather(*(session.close("the server is stopping") for session in list(self._sessions.values())))

    def _check_worker(self) -> None:
        if not self.ready:
            raise NoRoomError("the engines are not ready yet; try again in a moment")

    def _theirs(self, token: str | None, asking: Grant) -> Session | None:
        if token is None or token not in self._sessions or not asking.owns(self._owners[token]):
            return None
        return self._sessions[token]

    def _token_of(self, key: str, owner: str) -> str | None:
        """Return the token of the session with this key. Compares with all keys, in constant time, against timing."""
        found = None
        for token, known in self._keys.items():
            if secrets.compare_digest(known.encode(), key.encode()) and self._owners[token] == owner:
                found = token
        return found

    def _forget(self, token: str, session: Session) -> None:
        with log.of_session(token):
            self._let_go(token, session)

    def _let_go(self, token: str, session: Session) -> None:
        self._keys.pop(token, None)
        self._places.leave(token)
        self._owners.pop(token, None)
        if self._sessions.pop(token, None) is None:
            return
        self._ended.add(session.counts())
        if (number := self._numbers.pop(token, None)) is not None:
            self._tell(f"session {number} ends: {told(session)}")


def watch_address(token: str) -> str:
    """Return a session's address for viewers; the token cannot be derived from it."""
    return hashlib.blake2b(token.encode(), digest_size=18, person=b"watch").hexdigest()


def told(session: Session) -> str:
    """Return a one-line summary of an ended session: reason, duration, pictures, packet loss."""
    counts = session.counts()
    new = counts.frames_shown - counts.frames_repeated
    text = f"{session.reason}, after {session.lasted_s:.0f} s; {new} pictures, {counts.frames_repeated} repeats"
    if heard := session.microphone.order.taken:
        share = counts.packets_lost / (counts.packets_lost + heard)
        text += f"; {share:.1%} of the microphone lost"
    return text
