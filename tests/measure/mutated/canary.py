"""A well-behaved caller in a process of its own: what it loses, the server took from it.

    python -m tests.measure.mutated.canary URL [TOKEN]

Prints its session's address, then a line of JSON a second until it is ended: what reached it. Its own work is small, so
that it can be had beside other programs: its sound is encoded once, and what comes back is counted as it arrives, never
decoded.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import av
from aiortc import MediaStreamTrack

from streamer.audio.format import AUDIO_BLOCK, RATE
from streamer.measure.onsets import vowels
from streamer.webrtc.call import Call
from streamer.webrtc.ice import LOOPBACK, offer_only
from streamer.webrtc.private_parts import Receiver, Transport
from tests.fakes.opus_encoder import opus_packets

SPEECH_S = 20.0  # said again and again


@dataclass
class Second:
    """What came back within one second: packets of sound, and pictures whose last packet came.

    moment: monotonic, of the second's end. ended: the server has said goodbye.
    """

    packets: int = 0
    pictures: int = 0
    moment: float = 0.0
    ended: bool = False


class Voice(MediaStreamTrack):
    """Speech that was encoded before, a packet each 20 ms."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._packets = opus_packets(vowels(SPEECH_S), 20, 2)
        self._number, self._begun = 0, time.monotonic()

    async def recv(self) -> av.Packet[Any]:
        """The next packet."""
        await asyncio.sleep(max(0.0, self._begun + self._number * AUDIO_BLOCK / RATE - time.monotonic()))
        packet = av.Packet(self._packets[self._number % len(self._packets)])
        packet.pts, packet.time_base = self._number * AUDIO_BLOCK, Fraction(1, RATE)
        self._number += 1
        return packet


class Canary:
    """Calls and counts."""

    def __init__(self, url: str, token: str | None) -> None:
        self.call = Call(url, "", Voice(), self._wait, token)
        self._now = Second()

    def listen(self) -> None:
        """Count packets from now on."""
        sound = Receiver(self.call.audio.receiver)

        def note(data: bytes) -> bool:
            if sound.codec_of(data[1] & 0x7F) == "audio/opus":
                self._now.packets += 1
            else:
                self._now.pictures += data[1] >> 7  # the marker
            return False

        Transport(self.call.audio.receiver.transport).filter_media(note, lambda data: data)

    def taken(self) -> Second:
        """What has come since the last time."""
        found, self._now = self._now, Second()
        found.moment, found.ended = time.monotonic(), self.call.ended.is_set()
        return found

    async def _wait(self, track: MediaStreamTrack) -> None:
        await track.recv()  # never comes; raises when the connection has ended


async def watch(url: str, token: str | None) -> None:
    """Call and tell."""
    canary = Canary(url, token)
    async with canary.call:
        canary.listen()
        print(canary.call.location, flush=True)
        ended = False
        while not ended:
            await asyncio.sleep(1.0)
            found = canary.taken()
            ended = found.ended
            print(json.dumps(asdict(found)), flush=True)


if __name__ == "__main__":
    offer_only(LOOPBACK)
    asyncio.run(watch(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None))
