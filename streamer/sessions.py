"""All sessions of a server: who may come in, and what they add up to."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Mapping

import cv2
import numpy as np

from engines.manifest import Manifest
from streamer.avatar import AvatarInfo, find_avatar
from streamer.clock import Clock, MonotonicClock
from streamer.errors import SessionError
from streamer.frames import ByteArray
from streamer.limits import Limits
from streamer.motion import Lookahead
from streamer.session import Session, SessionOptions
from streamer.worker import InferenceWorker, WorkerState

logger = logging.getLogger(__name__)


class NoRoomError(SessionError):
    """As many sessions as the server takes are there already, or its engines are not ready."""


class Sessions:
    """Opens, finds and ends sessions. `avatars` are those the worker has loaded, by name."""

    def __init__(
        self,
        manifest: Manifest,
        worker: InferenceWorker,
        avatars: tuple[str, ...],
        most: int,
        limits: Limits | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.avatars: Mapping[str, AvatarInfo] = {name: find_avatar(manifest, name) for name in avatars}
        self.opened = 0
        self._manifest = manifest
        self._worker = worker
        self._most = most
        self._clock = clock or MonotonicClock()
        self._stills = {name: read_still(info) for name, info in self.avatars.items()}
        self._sessions: dict[str, Session] = {}

    @property
    def live(self) -> list[Session]:
        """The sessions there are."""
        return list(self._sessions.values())

    async def open(self, offer: str, avatar: str, lookahead_ms: int | None) -> tuple[str, str]:
        """Answer an offer; returns the session's unguessable name and the SDP answer.

        Raises:
            NoRoomError: too many sessions, or no engines at the moment.
            ConfigError: an impossible look-ahead.
            OfferError: the offer cannot be answered.
        """
        if self._worker.state is not WorkerState.READY:
            raise NoRoomError("the engines are not ready; try again in a moment")
        if len(self._sessions) >= self._most:
            raise NoRoomError(f"all {self._most} places are taken; try again later")
        chosen = self._manifest.lookahead_ms if lookahead_ms is None else lookahead_ms
        Lookahead.of(self._manifest, chosen)
        options = SessionOptions(avatar, self._stills[avatar], chosen, seed=secrets.randbelow(1 << 31))
        name = secrets.token_urlsafe(16)
        session = Session(options, self._worker, self.limits, self._clock, lambda _: self._forget(name))
        self._sessions[name] = session
        self.opened += 1
        return name, await session.answer(offer)

    async def close(self, name: str) -> bool:
        """End a session at its peer's wish; False when there is none of that name."""
        session = self._sessions.get(name)
        if session is None:
            return False
        await session.close("the peer said goodbye")
        return True

    async def close_all(self) -> None:
        """End everything, within the limits' shutdown time."""
        closing = [asyncio.ensure_future(session.close("the server is stopping")) for session in self.live]
        if closing:
            await asyncio.wait(closing, timeout=self.limits.shutdown_s)

    def _forget(self, name: str) -> None:
        self._sessions.pop(name, None)


def read_still(info: AvatarInfo) -> ByteArray:
    """An avatar's portrait, uint8 [H, W, 3] RGB; the worker has verified the bundle."""
    encoded = np.fromfile(info.folder / "portrait.png", np.uint8)
    picture = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    if picture is None:
        raise SessionError(f"{info.folder / 'portrait.png'}: not a picture")
    return np.ascontiguousarray(picture[..., ::-1], np.uint8)
