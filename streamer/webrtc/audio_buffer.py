"""Reorder buffer for microphone packets whose delay does not grow.

aiortc 1.16 gives audio a `JitterBuffer(capacity=16, prefetch=4)`: 80 ms from the start, and because it releases at
most one frame per received packet, every lost packet lengthens it for the rest of the call (aiortc #543; one lost
packet was measured to cost 200 ms permanently). Here playout smooths jitter (`timeline`), so the buffer before the
decoder only has to put packets in order, wait briefly for a missing one, and then release everything behind it.
"""

from __future__ import annotations

from collections.abc import Callable

from aiortc import RTCRtpReceiver
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtp import RtpPacket

from streamer.webrtc.private_parts import Receiver, payload_of
from streamer.webrtc.transit import Arrivals, signed

HOLD_PACKETS = 1  # packets held for a missing one; the next one declares it lost: at most 20 ms more delay
MAX_MISORDER = 100  # packets; an older packet than this means that the sender restarted
MAX_JUMP = 3_000  # packets, one minute; so does a newer packet than this


class ReorderBuffer:
    """Packets in, packets in order out; a packet counts as lost once `hold` + 1 newer ones arrived."""

    def __init__(self, hold: int = HOLD_PACKETS) -> None:
        self._hold = hold
        self._next: int | None = None  # sequence number to release next
        self._held: dict[int, RtpPacket] = {}
        self.lost = 0  # packets declared lost
        self.taken = 0  # packets released
        self.late = 0  # packets that arrived after being declared lost, or twice

    def push(self, packet: RtpPacket) -> list[RtpPacket]:
        """Take one packet; return the packets ready to decode, in order."""
        number = packet.sequence_number
        if self._next is None:
            self._next = number
        ahead = distance(self._next, number)
        if ahead < -MAX_MISORDER or ahead > MAX_JUMP:
            self._held.clear()
            self._next, ahead = number, 0
        if ahead < 0:
            self.late += 1
            return []
        self._held[number] = packet
        if len(self._held) > self._hold and self._next not in self._held:
            origin = self._next
            self._next = min(self._held, key=lambda held: distance(origin, held))
            self.lost += distance(origin, self._next)
        return self._release()

    def _release(self) -> list[RtpPacket]:
        ready: list[RtpPacket] = []
        while self._next is not None and (packet := self._held.pop(self._next, None)) is not None:
            ready.append(packet)
            self.taken += 1
            self._next = (self._next + 1) & 0xFFFF
        return ready


def distance(origin: int, number: int) -> int:
    """Return the signed distance between two 16-bit sequence numbers."""
    return signed(number - origin, 16)


class MicrophoneBuffer:
    """A `ReorderBuffer` with the interface of aiortc's JitterBuffer.

    That interface returns at most one frame per packet; here all ready frames go to `decode`.
    """

    def __init__(self, decode: Callable[[RtpPacket, JitterFrame], None], arrivals: Arrivals | None = None) -> None:
        self.order = ReorderBuffer()
        self._decode = decode
        self._arrivals = arrivals

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        """Take one packet whose payload is parsed; return (no picture lost, no frame left to decode)."""
        if self._arrivals is not None:
            self._arrivals.note(packet.timestamp)
        ready = self.order.push(packet)
        for packet in ready:
            self._decode(packet, _frame(packet))
        if ready and self._arrivals is not None:
            self._arrivals.count_from(ready[0].timestamp)
        return False, None


def _frame(packet: RtpPacket) -> JitterFrame:
    return JitterFrame(data=payload_of(packet), timestamp=packet.timestamp)


def install(receiver: RTCRtpReceiver, arrivals: Arrivals | None = None) -> MicrophoneBuffer:
    """Replace the jitter buffer of an audio receiver; call it before the first packet.

    Raises:
        SessionError: this version of aiortc lacks the private attributes of its receiver.
    """
    inside = Receiver(receiver)
    buffer = MicrophoneBuffer(inside.decode, arrivals)
    inside.replace_buffer(buffer)
    return buffer
