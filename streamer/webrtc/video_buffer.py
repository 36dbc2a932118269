"""Buffer that assembles a server's pictures from packets and releases each as soon as it is complete.

aiortc's own buffer detects the end of a picture only when the next one begins, 40 ms later, and releases at most one
per received packet, so a delay that grew never shrinks. Here the marker bit on a picture's last packet releases it and
all complete pictures behind it. aiortc requests a missing packet again; after a short wait, its picture is skipped and
a keyframe is requested.
"""

from __future__ import annotations

from collections.abc import Callable

from aiortc import RTCRtpReceiver
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtp import RtpPacket

from streamer.webrtc.audio_buffer import MAX_JUMP, MAX_MISORDER, distance
from streamer.webrtc.private_parts import Receiver, payload_of
from streamer.webrtc.transit import Arrivals, signed

HOLD = 9_000  # timestamp units at 90 kHz: newer pictures wait up to 100 ms for a missing packet
MOST_HELD = 512  # packets


class PictureBuffer:
    """Replacement for aiortc's JitterBuffer of a video receiver.

    Its interface returns at most one picture per packet; `deliver` gets the others.
    """

    def __init__(self, deliver: Callable[[RtpPacket, JitterFrame], None], arrivals: Arrivals) -> None:
        self.lost = 0  # packets declared lost
        self._deliver = deliver
        self._arrivals = arrivals
        self._next: int | None = None  # sequence number of the next picture's first packet
        self._held: dict[int, RtpPacket] = {}

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """Take one packet with a parsed payload; return (whether a keyframe is needed, the picture to decode)."""
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
        """Remove and return all complete pictures, in order."""
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
        """Skip past the first picture whose end arrived if a packet is missing for too long; return whether it did."""
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
        SessionError: this version of aiortc lacks the private attributes of its receiver.
    """
    inside = Receiver(receiver)
    buffer = PictureBuffer(inside.deliver, arrivals)
    inside.replace_buffer(buffer)
    return buffer
