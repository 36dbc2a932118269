"""Sends the microphone's sound to a server, across several calls."""

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

WAITING = 10  # blocks, 200 ms; on overflow the oldest is dropped
BIT_RATE = 96_000
LONGEST_PAUSE = 3600 * RATE  # samples
END_S = 0.1  # the source counts as paused after this long without sound
FLUSH = 2  # blocks of silence sent at a pause; one more would make the server take a new clock anchor
QUIET_S = 1.0  # after this long without sound (muted, unplugged), a block of silence is sent as a keepalive


class Uplink:
    """Bounded queue from the source to the current call; on overflow the oldest block is dropped.

    Blocks are sent when they arrive, with the source's own count, so that the server sees pauses at their true length.
    `clock` measures the time without blocks.
    """

    def __init__(self, clock: Clock) -> None:
        self.dropped = 0  # blocks
        self._clock = clock
        self._start = clock.now()
        self._shift: int | None = None  # our count minus the source's
        self._expected = 0  # count of the source's next block
        self._next = 0  # our count after the last block; never decreases
        self._to_flush = 0  # blocks of silence still to be sent after the end of the sound
        self._waiting: asyncio.Queue[tuple[int, Samples]] = asyncio.Queue()

    def push(self, pts: int, samples: Samples) -> None:
        """Queue a block of the source: int16 [n, 2]; a jump of the count means that the source was reopened."""
        if self._shift is None or not 0 <= pts - self._expected < LONGEST_PAUSE:
            self._shift = self._elapsed() - len(samples) - pts
        self._expected = pts + len(samples)
        if self._waiting.qsize() >= WAITING:
            self._waiting.get_nowait()
            self.dropped += 1
        self._waiting.put_nowait((pts + self._shift, samples))

    def begin(self) -> None:
        """Start a call: drop the queued blocks, which are outdated."""
        while not self._waiting.empty():
            self._waiting.get_nowait()

    async def next(self) -> tuple[int, Samples]:
        """Wait for the next block; return its position in samples, and the block."""
        try:
            async with asyncio.timeout(END_S if self._to_flush else QUIET_S):
                pts, samples = await self._waiting.get()
        except TimeoutError:
            return self._silence(), np.zeros((AUDIO_BLOCK, CHANNELS), np.int16)
        pts = max(pts, self._next)
        self._next, self._to_flush = pts + len(samples), FLUSH
        return pts, samples

    def _silence(self) -> int:
        """Return the position of a block of silence.

        The first FLUSH blocks only push out the sound that encoder and decoder still hold. They arrive too late to be
        heard, so they do not advance the position.
        """
        if self._to_flush:
            self._to_flush -= 1
            return self._next
        self._next = max(self._next, self._elapsed() - AUDIO_BLOCK)
        return self._next

    def _elapsed(self) -> int:
        return round((self._clock.now() - self._start) * RATE)


class UplinkTrack(MediaStreamTrack):
    """Opus track of one call, fed by an uplink.

    It encodes by itself because aiortc's encoder gives the first packet after a pause the timestamp of the last packet
    before it. A receiver that uses timestamps then plays everything that follows late by the pause.
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
        """Wait for the next block and return its packet."""
        if self._first is None:
            self._uplink.begin()
        while self.readyState == "live":
            pts, samples = await self._uplink.next()
            if self._first is None:
                self._first = pts
            frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="stereo")
            frame.sample_rate = RATE
            for packet in self._encoder.encode(frame):  # one packet per block
                packet.pts, packet.time_base = pts - self._first, Fraction(1, RATE)
                return packet
        raise MediaStreamError
