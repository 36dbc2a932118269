"""A real peer that is in a session, and who is told of the session's end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from streamer.core.aio import MonotonicClock
from streamer.core.limits import Limits
from streamer.inference.worker import InferenceWorker
from streamer.measure.caller import Recording, SoundTrack
from streamer.measure.onsets import vowels
from streamer.server.peer_session import Session
from streamer.server.session_options import PeerOptions
from tests.families import tiny_family

STILL = np.zeros((tiny_family.SIZE, tiny_family.SIZE, 3), np.uint8)
PATIENCE_S = 60.0


@dataclass
class Owner:
    """Who is told of a session's end."""

    ended: list[Session] = field(default_factory=list)
    told: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, session: Session) -> None:
        self.ended.append(session)
        self.told.set()

    async def wait(self) -> str:
        async with asyncio.timeout(PATIENCE_S):
            await self.told.wait()
        return self.ended[0].reason


@asynccontextmanager
async def calling(
    worker: InferenceWorker,
    prepare: Callable[[RTCPeerConnection], None] = lambda peer: None,
    able: tuple[str, ...] = (),
) -> AsyncIterator[tuple[Session, Owner, RTCPeerConnection]]:
    """A session, and a peer that has its answer and speaks. prepare: is given the peer before it offers anything."""
    owner = Owner()
    async with AsyncExitStack() as stack:
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        stack.push_async_callback(peer.close)
        peer.addTransceiver(SoundTrack(vowels(30.0), Recording(), MonotonicClock()), "sendrecv")
        peer.addTransceiver("video", "recvonly")
        prepare(peer)
        options = PeerOptions(tiny_family.NAME, STILL, 185, able=able)
        session = Session(options, worker, Limits(), MonotonicClock(), owner)
        stack.push_async_callback(session.close, "enough")
        await peer.setLocalDescription(await peer.createOffer())
        answer = await session.answer(peer.localDescription.sdp)
        await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        yield session, owner, peer
