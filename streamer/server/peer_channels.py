"""The data channels of one peer: those labelled `control` use the control protocol, as the control socket does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from aiortc import RTCDataChannel

from streamer.core.aio import Clock, until_first
from streamer.session.control_client import ControlClient, Controlled, Refused
from streamer.session.control_protocol import Refusal, encode

LABEL = "control"
MOST_CHANNELS = 4  # that one peer may open during its call
MOST_UNREAD = 64 * 1024  # bytes of events that the peer has not acknowledged


class PeerChannels:
    """Serves the channels that a peer opens. `spawn` starts a task of the session."""

    def __init__(
        self,
        session: Controlled,
        able: Sequence[str],
        clock: Clock,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._session, self._able, self._clock, self._spawn = session, able, clock, spawn
        self._opened = 0

    def take(self, channel: RTCDataChannel) -> None:
        """Serve an opened channel; close it if its label is unknown or the peer has opened too many."""
        self._opened += 1
        if channel.label != LABEL or self._opened > MOST_CHANNELS:
            channel.close()
        else:
            self._spawn(self._serve(channel))

    async def _serve(self, channel: RTCDataChannel) -> None:
        client = ControlClient(self._session, self._able, self._clock)
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def hear(message: str | bytes) -> None:
            try:
                if not ended.done():
                    client.take(message if isinstance(message, str) else None)
            except Refused as error:
                ended.set_exception(error)

        def closed() -> None:
            if not ended.done():
                ended.set_result(None)

        channel.on("message", hear)
        channel.on("close", closed)

        async def send(text: str) -> None:
            if channel.readyState != "open":
                raise ConnectionError
            if channel.bufferedAmount > MOST_UNREAD:
                raise TimeoutError
            channel.send(text)

        async def until_ended() -> None:
            await ended

        try:
            await until_first(client.serve(send), until_ended())
        except Refused as error:
            if channel.readyState == "open":
                channel.send(encode(Refusal(str(error))))
        if channel.readyState == "open":
            channel.close()
