"""One viewer of a session over WebRTC (WHEP): offer and answer, shutdown."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from aiortc import RTCConfiguration, RTCPeerConnection

from streamer.core.aio import Clock
from streamer.core.limits import Limits
from streamer.server.admission.patience import until_connected, until_over
from streamer.server.negotiation import answer
from streamer.webrtc import private_parts
from streamer.webrtc.codecs import only_opus, only_vp8
from streamer.webrtc.offer import OfferError
from streamer.webrtc.peer_guard import PeerGuard
from streamer.webrtc.private_parts import on_keyframe_request
from streamer.webrtc.shared_media import SharedMedia

logger = logging.getLogger(__name__)


class Viewer:
    """Receives a session's media until either side closes the connection. `on_closed` is called once."""

    def __init__(self, media: SharedMedia, limits: Limits, clock: Clock, on_closed: Callable[[], None]) -> None:
        self._media = media
        self._limits = limits
        self._clock = clock
        self._on_closed = on_closed
        self._tracks = media.join()
        self._reached, self._live = asyncio.Event(), asyncio.Event()
        self._since = clock.now()
        self._life: asyncio.Task[None] | None = None
        self._closed = False
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._guard = PeerGuard(clock, self._on_excess, lambda payload: "", lambda: 0)
        audio, video = (self._peer.addTransceiver(track, "sendonly") for track in self._tracks)
        only_opus(audio)
        only_vp8(video)
        on_keyframe_request(video.sender, media.want_keyframe)
        self._peer.on("iceconnectionstatechange", self._on_ice_state)
        self._peer.on("connectionstatechange", self._on_connection_state)

    async def answer(self, offer: str) -> str:
        """Answer an offer that has passed `check_offer`; return SDP with all candidates in it. Raises OfferError."""
        try:
            async with asyncio.timeout(self._limits.negotiate_s):
                sdp = await answer(self._peer, self._guard, offer)
        except TimeoutError:
            await self.close("negotiation took too long")
            raise OfferError(f"no answer to the offer after {self._limits.negotiate_s:.0f} s") from None
        except BaseException:
            await self.close("it was not answered")
            raise
        self._life = asyncio.create_task(self._end_in_time())
        return sdp

    async def close(self, reason: str) -> None:
        """Close the connection. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        logger.debug("a viewer leaves: %s", reason)
        self._media.leave(self._tracks)
        if self._life is not None and self._life is not asyncio.current_task():
            self._life.cancel()
        self._on_closed()
        try:
            async with asyncio.timeout(self._limits.close_s):
                await private_parts.close(self._peer)
        except TimeoutError:
            logger.warning("a viewer's connection did not close within %.1f s", self._limits.close_s)

    async def _end_in_time(self) -> None:
        reason = await until_connected(self._reached, self._live, self._limits)
        await self.close(reason or await until_over(self._moments, self._clock))

    def _moments(self) -> dict[str, float]:
        limits = self._limits
        return {
            f"nothing came from the peer for {limits.gone_s:g} s": self._guard.heard_at + limits.gone_s,
            f"it lasted {limits.max_session_s / 3600:.1f} hours": self._since + limits.max_session_s,
        }

    def _on_excess(self, reason: str) -> None:
        self._guard_end = asyncio.ensure_future(self.close(reason))

    def _on_ice_state(self) -> None:
        if self._peer.iceConnectionState == "completed":
            self._reached.set()

    async def _on_connection_state(self) -> None:
        if self._peer.connectionState == "connected":
            self._live.set()
            self._media.want_keyframe()
        elif self._peer.connectionState in ("failed", "closed"):
            await self.close("the connection has ended")
