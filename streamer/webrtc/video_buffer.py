"""A server's pictures put together from packets, as soon as they are complete.

aiortc's own buffer knows that a picture is complete when the next one begins, which is 40 ms later, and lets one go for
each packet that comes, so that what once waited waits for ever. Here the marker bit of a picture's last packet lets it
go, with all that waited behind it. A missing packet is asked for again by aiortc; it is waited for a moment, then its
picture is left out, and a whole one is asked for.
"""

from __future__ import annotations

from collections.abc import Callable

from aiortc import RTCRtpReceiver
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtp import RtpPacket

from streamer.webrtc.audio_buffer import MAX_JUMP, MAX_MISORDER, distance
from streamer.webrtc.private_parts import Receiver, payload_of
from streamer.webrtc.transit import Arrivals, signed

HOLD = 9_000  # of a timestamp at 90 kHz: 100 ms of newer pictures wait for a missing packet
MOST_HELD = 512  # packets


class PictureBuffer:
    """Stands for aiortc's JitterBuffer of a video receiver; pictures beyond one for a packet go to `deliver`."""

    def __init__(self, deliver: Callable[[RtpPacket, JitterFrame], None], arrivals: Arrivals) -> None:
        self.lost = 0  # packets that were not waited for any longer
        self._deliver = deliver
        self._arrivals = arrivals
        self._next: int | None = None  # number of the first packet of the next picture
        self._held: dict[int, RtpPacket] = {}

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """Take one packet whose payload is parsed; return (whether a whole picture is needed, what to decode)."""
        self._arrivals.note(packet.timestamp)
        number = packet.sequence_number
        if self._next is None:
            self._next = number
        ahead, anew = distance(self._next, number), False
        if ahead < -MAX_MISORDER or ahead > MAX_JUMP or len(self._held) >= MOST_HELD:
            self._held.clear()
            self._next, ahead, anew = number, 0, True
        if ahead < 0:
            return False, None
        self._held[number] = packet
        ready = self._complete()
        if not ready and self._leave_out(packet.timestamp):
            ready, anew = self._complete(), True
        for picture in ready[:-1]:
            self._deliver(picture[0], _joined(picture))
        if not ready:
            return anew, None
        self._arrivals.count_from(ready[0][0].timestamp)
        return anew, _joined(ready[-1])

    def _complete(self) -> list[list[RtpPacket]]:
        """Take out all pictures that are there in full and in order."""
        pictures: list[list[RtpPacket]] = []
        while self._next is not None:
            picture, number = [], self._next
            while (packet := self._held.get(number)) is not None:
                picture.append(packet)
                number = number + 1 & 0xFFFF
                if packet.marker:
                    break
            if not picture or not picture[-1].marker:
                break
            for packet in picture:
                del self._held[packet.sequence_number]
            pictures.append(picture)
            self._next = number
        return pictures

    def _leave_out(self, newest: int) -> bool:
        """Where a packet has been missing for long: go on after the first picture whose end came. Whether it did."""
        assert self._next is not None
        origin = self._next
        waiting = sorted(self._held.values(), key=lambda packet: distance(origin, packet.sequence_number))
        if signed(newest - waiting[0].timestamp, 32) < HOLD:
            return False
        end = next((packet.sequence_number for packet in waiting if packet.marker), None)
        if end is None:
            return False
        span = distance(origin, end) + 1
        dropped = [number for number in self._held if distance(origin, number) < span]
        for number in dropped:
            del self._held[number]
        self.lost += span - len(dropped)
        self._next = end + 1 & 0xFFFF
        return True


def _joined(picture: list[RtpPacket]) -> JitterFrame:
    data = b"".join(payload_of(packet) for packet in picture)
    return JitterFrame(data, picture[0].timestamp)


def install(receiver: RTCRtpReceiver, arrivals: Arrivals) -> PictureBuffer:
    """Replace the jitter buffer of a video receiver; call it before the first packet.

    Raises:
        SessionError: this version of aiortc keeps its receiver in another way.
    """
    inside = Receiver(receiver)
    buffer = PictureBuffer(inside.deliver, arrivals)
    inside.replace_buffer(buffer)
    return buffer
