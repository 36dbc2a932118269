"""The microphone's sound on its way to a server, call after call."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import Any

import av
import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av.packet import Packet

from streamer.audio.format import AUDIO_BLOCK, CHANNELS, RATE, Samples
from streamer.core.aio import Clock

WAITING = 10  # blocks, 200 ms; the oldest is dropped
BIT_RATE = 96_000
LONGEST_PAUSE = 3600 * RATE  # samples
END_S = 0.1  # without sound: it has paused
FLUSH = 2  # blocks of silence after it; one fewer than would make the server tie our clock anew
QUIET_S = 1.0  # without sound (muted, unplugged): then a block of silence says that we are still there


class Uplink:
    """Bounded: what no call takes in time is dropped, the oldest first. `clock` counts the time in which nothing came.

    Blocks leave when they come, with the source's own count, so that the server sees pauses as long as they were.
    """

    def __init__(self, clock: Clock) -> None:
        self.dropped = 0  # blocks
        self._clock = clock
        self._start = clock.now()
        self._shift: int | None = None  # our count minus the source's
        self._expected = 0  # of the source's next block
        self._next = 0  # our count after the last block, which never goes back
        self._to_flush = 0  # blocks of silence that the end of the sound still needs
        self._waiting: asyncio.Queue[tuple[int, Samples]] = asyncio.Queue()

    def push(self, pts: int, samples: Samples) -> None:
        """Take a block of the source: int16 [n, 2]; a count that jumps is that of a source that was opened anew."""
        if self._shift is None or not 0 <= pts - self._expected < LONGEST_PAUSE:
            self._shift = self._elapsed() - len(samples) - pts
        self._expected = pts + len(samples)
        if self._waiting.qsize() >= WAITING:
            self._waiting.get_nowait()
            self.dropped += 1
        self._waiting.put_nowait((pts + self._shift, samples))

    def begin(self) -> None:
        """A call begins: what waited is old."""
        while not self._waiting.empty():
            self._waiting.get_nowait()

    async def next(self) -> tuple[int, Samples]:
        """The next block, and its place in a count of samples."""
        try:
            async with asyncio.timeout(END_S if self._to_flush else QUIET_S):
                pts, samples = await self._waiting.get()
        except TimeoutError:
            return self._silence(), np.zeros((AUDIO_BLOCK, CHANNELS), np.int16)
        pts = max(pts, self._next)
        self._next, self._to_flush = pts + len(samples), FLUSH
        return pts, samples

    def _silence(self) -> int:
        """The place of a block of silence. The first ones only push out what encoder and decoder still hold, and come
        too late to be heard: they take no time."""
        if self._to_flush:
            self._to_flush -= 1
            return self._next
        self._next = max(self._next, self._elapsed() - AUDIO_BLOCK)
        return self._next

    def _elapsed(self) -> int:
        return round((self._clock.now() - self._start) * RATE)


class UplinkTrack(MediaStreamTrack):
    """What one call sends of an uplink, in Opus.

    It is encoded here: the encoder of aiortc gives the first packet after a pause the place of the last before it, and
    a receiver that goes by places then plays all that follows too late by the pause.
    """

    kind = "audio"

    def __init__(self, uplink: Uplink) -> None:
        super().__init__()
        self._uplink = uplink
        self._first: int | None = None
        self._encoder = av.AudioCodecContext.create("libopus", "w")
        self._encoder.sample_rate, self._encoder.layout, self._encoder.format = RATE, "stereo", "s16"
        self._encoder.bit_rate, self._encoder.options = BIT_RATE, {"application": "voip"}

    async def recv(self) -> Packet[Any]:
        """The next block, when it comes."""
        if self._first is None:
            self._uplink.begin()
        while self.readyState == "live":
            pts, samples = await self._uplink.next()
            if self._first is None:
                self._first = pts
            frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="stereo")
            frame.sample_rate = RATE
            for packet in self._encoder.encode(frame):  # one for each block
                packet.pts, packet.time_base = pts - self._first, Fraction(1, RATE)
                return packet
        raise MediaStreamError
