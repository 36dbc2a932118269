"""All that is live: the worker, the avatars it has loaded, and the sessions there are."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from engines.manifest import Manifest
from streamer.avatar import find_avatar
from streamer.clock import Clock, MonotonicClock
from streamer.config import ServeOptions
from streamer.errors import BundleError, ConfigError, SessionError
from streamer.frames import ByteArray
from streamer.limits import Limits
from streamer.messages import WorkerSettings
from streamer.metrics import MediaCounts
from streamer.offer import OfferError
from streamer.session import Session, SessionOptions
from streamer.worker import InferenceWorker, WorkerState


class UnknownAvatarError(SessionError):
    """An avatar was asked for that is not loaded."""


class BusyError(SessionError):
    """There is no room for a session now; there may be later."""


@dataclass(frozen=True, eq=False)
class AvatarCard:
    """An avatar as a client sees it. `still` is its portrait, uint8 [H, W, 3]; `picture` the same as a PNG file."""

    name: str
    title: str
    picture: bytes
    still: ByteArray


class Studio:
    """Opens and ends sessions on one worker.

    Raises on construction:
        ManifestError: the family cannot be used.
        ConfigError: an option outside what the family takes.
    """

    def __init__(
        self, options: ServeOptions, family: Path, limits: Limits | None = None, clock: Clock | None = None
    ) -> None:
        self.manifest = Manifest.load(family)
        self.limits = limits or Limits()
        self.options = options
        self.avatars: dict[str, AvatarCard] = {}
        self.default_avatar = ""
        self.worker = InferenceWorker(
            WorkerSettings(family, options.avatar, options.threads), self.manifest.size, clock=clock
        )
        self.opened = 0
        self.refused: Counter[str] = Counter()
        self.ended_counts = MediaCounts()  # of the sessions that have ended
        self._clock = clock or MonotonicClock()
        self._sessions: dict[str, Session] = {}
        self.lookahead(None)  # an impossible default is an error now, not in the first session

    @property
    def warm(self) -> bool:
        """Whether sessions can be opened."""
        return self.worker.state is WorkerState.READY and bool(self.avatars)

    @property
    def sessions(self) -> tuple[Session, ...]:
        """Those that have not ended."""
        return tuple(self._sessions.values())

    def counts(self) -> MediaCounts:
        """Of all sessions since the start."""
        return sum((session.counts() for session in self._sessions.values()), self.ended_counts)

    async def start(self) -> None:
        """Load the engines and all avatars.

        Raises:
            AvatarError: they cannot be used.
        """
        ready = await self.worker.start()
        self.avatars = {name: _card(self.manifest, name) for name in ready.avatars}
        self.default_avatar = ready.default_avatar

    async def stop(self) -> None:
        """End all sessions, then the worker."""
        await asyncio.gather(*(session.close("the server is stopping") for session in self.sessions))
        await self.worker.stop()

    def lookahead(self, asked: int | None) -> int:
        """The look-ahead in ms a session gets that asks for `asked` (None: the server's default, else the full one).

        Raises:
            ConfigError: outside what the family can use.
        """
        full = self.manifest.lookahead_ms
        chosen = self.options.lookahead_ms if asked is None else asked
        if chosen is not None and not 0 <= chosen <= full:
            raise ConfigError(f"look-ahead of {chosen} ms; {self.manifest.family} takes 0 to {full} ms")
        return full if chosen is None else chosen

    async def open(self, offer: str, avatar: str | None, lookahead_ms: int | None) -> tuple[str, Session, str]:
        """Open a session: its unguessable name, itself, and the SDP answer.

        Raises:
            OfferError: the offer cannot be answered.
            UnknownAvatarError: no such avatar.
            ConfigError: a look-ahead that the family cannot use.
            BusyError: too many sessions, or the engines are not ready.
        """
        try:
            options = self._session_options(avatar, lookahead_ms)
            name = secrets.token_urlsafe(24)
            session = Session(options, self.worker, self.limits, self._clock, lambda closed: self._forget(name, closed))
            self._sessions[name] = session
            answer = await session.answer(offer)
        except (SessionError, ConfigError) as error:
            self.refused[_REASONS.get(type(error), "other")] += 1
            raise
        self.opened += 1
        return name, session, answer

    async def close(self, name: str) -> bool:
        """End the session of this name; False when there is none."""
        session = self._sessions.get(name)
        if session is None:
            return False
        await session.close("the client hung up")
        return True

    def _session_options(self, avatar: str | None, lookahead_ms: int | None) -> SessionOptions:
        if not self.warm:
            raise BusyError("the engines are not ready yet; try again in a moment")
        card = self.avatars.get(avatar or self.default_avatar)
        if card is None:
            raise UnknownAvatarError(f"no avatar {str(avatar)[:40]!r}; there are {', '.join(self.avatars)}")
        lookahead = self.lookahead(lookahead_ms)
        if len(self._sessions) >= self.options.max_sessions:
            raise BusyError(f"all {self.options.max_sessions} places are taken; try again in a moment")
        return SessionOptions(card.name, card.still, lookahead, seed=secrets.randbelow(1 << 31))

    def _forget(self, name: str, session: Session) -> None:
        if self._sessions.pop(name, None) is not None:
            self.ended_counts += session.counts()


_REASONS: dict[type[Exception], str] = {
    OfferError: "offer",
    UnknownAvatarError: "avatar",
    BusyError: "busy",
    ConfigError: "lookahead",
}


def _card(manifest: Manifest, name: str) -> AvatarCard:
    info = find_avatar(manifest, name)
    picture = (info.folder / "portrait.png").read_bytes()
    decoded = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise BundleError(f"{info.folder / 'portrait.png'}: not a picture")
    return AvatarCard(name, info.title, picture, cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB).astype(np.uint8))
