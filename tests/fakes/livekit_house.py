"""LiveKit's rooms without a server: participants of one process, who reach each other at once.

What `livekit-agents` uses of `rtc.Room`: participants, byte streams, RPC and published tracks, whose real pictures and
sound a test may listen to (`rtc.AudioStream`, `rtc.VideoStream`).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from types import SimpleNamespace
from typing import Any

from livekit import rtc

COUNT = itertools.count()


class House:
    """One room, by the name of its participants."""

    def __init__(self) -> None:
        self.rooms: dict[str, Room] = {}

    def enter(self, identity: str, attributes: Mapping[str, str] | None = None) -> Room:
        room = Room(self, identity, dict(attributes or {}))
        self.rooms[identity] = room
        for other in self.rooms.values():
            if other is not room:
                other.emit("participant_connected", room.local_participant)
                other.emit("participant_active", room.local_participant)
        return room


class Room(rtc.EventEmitter[str]):
    """A participant's view of the house."""

    name = "house"

    def __init__(self, house: House, identity: str, attributes: dict[str, str]) -> None:
        super().__init__()
        self.house = house
        self.local_participant = Participant(self, identity, attributes)
        self.byte_handlers: dict[str, Callable[[Any, str], None]] = {}
        self.connected = True

    def isconnected(self) -> bool:
        return self.connected

    @property
    def remote_participants(self) -> dict[str, Participant]:
        others = (room for room in self.house.rooms.values() if room is not self)
        return {room.local_participant.identity: room.local_participant for room in others}

    def register_byte_stream_handler(self, topic: str, handler: Callable[[Any, str], None]) -> None:
        self.byte_handlers[topic] = handler

    async def disconnect(self) -> None:
        if self.connected:
            self.connected = False
            self.house.rooms.pop(self.local_participant.identity, None)
            for other in self.house.rooms.values():
                other.emit("participant_disconnected", self.local_participant)
            self.emit("disconnected", "left")


class Participant:
    """Somebody in the house."""

    kind = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
    state = rtc.ParticipantState.PARTICIPANT_STATE_ACTIVE

    def __init__(self, room: Room, identity: str, attributes: dict[str, str]) -> None:
        self.identity, self.attributes = identity, attributes
        self.track_publications: dict[str, Any] = {}
        self.tracks: list[Any] = []
        self.called: list[tuple[str, str]] = []  # RPC that it made: method and payload
        self._room = room
        self._rpc_handlers: dict[str, Callable[[rtc.RpcInvocationData], str]] = {}

    def register_rpc_method(self, name: str, handler: Callable[[rtc.RpcInvocationData], str]) -> None:
        self._rpc_handlers[name] = handler

    async def perform_rpc(self, *, destination_identity: str, method: str, payload: str) -> str:
        await asyncio.sleep(0)
        self.called.append((method, payload))
        handler = self._room.house.rooms[destination_identity].local_participant._rpc_handlers.get(method)
        if handler is None:
            raise rtc.RpcError(rtc.RpcError.ErrorCode.UNSUPPORTED_METHOD, f"no method {method}")
        return handler(rtc.RpcInvocationData(str(next(COUNT)), self.identity, payload, 10.0, method))

    async def stream_bytes(
        self, name: str, *, topic: str, destination_identities: list[str], attributes: dict[str, str]
    ) -> Stream:
        stream = Stream(SimpleNamespace(attributes=attributes, stream_id=name, name=name, topic=topic))
        for identity in destination_identities:
            self._room.house.rooms[identity].byte_handlers[topic](stream, self.identity)
        return stream

    async def publish_track(self, track: Any, options: Any) -> Any:
        publication = SimpleNamespace(sid=f"TR_{next(COUNT)}", kind=track.kind, track=track, subscribed=True)
        publication.wait_for_subscription = lambda: asyncio.sleep(0)
        self.tracks.append(track)
        self.track_publications[publication.sid] = publication
        for other in self._room.house.rooms.values():
            if other is not self._room:
                other.emit("track_published", publication, self)
        return publication


class Stream:
    """A byte stream, both ends of it."""

    def __init__(self, info: SimpleNamespace) -> None:
        self.info = info
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def write(self, data: bytes) -> None:
        self._chunks.put_nowait(data)

    async def aclose(self) -> None:
        self._chunks.put_nowait(None)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if (chunk := await self._chunks.get()) is None:
            raise StopAsyncIteration
        return chunk
