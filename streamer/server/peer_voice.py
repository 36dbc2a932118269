"""The peer's microphone, read from its track for as long as there is one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame

from streamer.audio.format import CHANNELS, RATE, Samples
from streamer.core.aio import Clock


class PeerVoice:
    """`heard_at`: when it last sent anything.

    take: gets the sender's sample count and int16 [n, 2]; None where it is not wanted.
    """

    def __init__(self, take: Callable[[int, Samples], None] | None, clock: Clock) -> None:
        self.heard_at = 0.0
        self._take = take
        self._clock = clock

    @property
    def wanted(self) -> bool:
        """Whether it has a part in the session."""
        return self._take is not None

    async def read(self, track: MediaStreamTrack, begin: asyncio.Event) -> None:
        """Read from `begin` on, to the track's end; also what is not wanted: aiortc would keep it for ever."""
        await begin.wait()
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            self.heard_at = self._clock.now()
            if self._take is not None and isinstance(frame, AudioFrame) and frame.sample_rate == RATE:
                self._take(frame.pts or 0, np.asarray(frame.to_ndarray(), np.int16).reshape(-1, CHANNELS))
