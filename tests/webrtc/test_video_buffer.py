"""Pictures are put together from packets in any order: whole ones only, in order, at once."""

from __future__ import annotations

from aiortc import RTCPeerConnection
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtp import RtpPacket
from hypothesis import given
from hypothesis import strategies as st

from streamer.webrtc import video_buffer
from streamer.webrtc.transit import Arrivals
from streamer.webrtc.video_buffer import HOLD, PictureBuffer
from tests.fakes.clock import FakeClock

PACKETS = 3  # of each picture
STEP = 3_600
START = 65_530  # numbers wrap around early on


class Reader:
    """A buffer and what comes out of it: the pictures' numbers."""

    def __init__(self) -> None:
        self.pictures: list[int] = []
        self.asked = 0  # for a whole picture
        self.buffer = PictureBuffer(lambda packet, frame: self._read(frame), Arrivals(90_000, FakeClock()))

    def take(self, number: int) -> None:
        asked, frame = self.buffer.add(packet(number))
        self.asked += asked
        if frame is not None:
            self._read(frame)

    def _read(self, frame: JitterFrame) -> None:
        picture = frame.timestamp // STEP
        assert frame.data == b"".join(bytes([picture % 256, part]) for part in range(PACKETS))
        self.pictures.append(picture)


def packet(number: int) -> RtpPacket:
    """The n-th packet that was sent."""
    picture, part = divmod(number, PACKETS)
    made = RtpPacket(
        payload_type=97, marker=part == PACKETS - 1, sequence_number=START + number & 0xFFFF, timestamp=picture * STEP
    )
    made._data = bytes([picture % 256, part])  # type: ignore[attr-defined]
    return made


def test_a_picture_is_there_with_its_last_packet() -> None:
    reader = Reader()
    for number in range(30 * PACKETS):
        reader.take(number)
        assert len(reader.pictures) == (number + 1) // PACKETS
    assert reader.pictures == list(range(30))
    assert reader.asked == 0


def test_what_waited_for_a_packet_that_was_sent_again_comes_with_it() -> None:
    reader = Reader()
    for number in (0, 1, 2, 3, 5, 6, 7, 8, 4):
        reader.take(number)
    assert reader.pictures == [0, 1, 2]


def test_a_packet_that_never_comes_costs_its_picture_and_a_whole_one_is_asked_for() -> None:
    reader = Reader()
    missing = 10 * PACKETS + 1
    for number in range(40 * PACKETS):
        if number != missing:
            reader.take(number)
    assert reader.pictures == [*range(10), *range(11, 40)]
    assert (reader.asked, reader.buffer.lost) == (1, 1)


def test_a_sender_that_starts_anew_is_followed() -> None:
    reader = Reader()
    for number in [*range(6), *range(30_000, 30_006)]:
        reader.take(number)
    assert reader.pictures == [0, 1, 10_000, 10_001]
    assert reader.asked == 1


@given(st.permutations(range(12)), st.sets(st.integers(1, 10), max_size=3))
def test_any_order_and_loss_gives_whole_pictures_in_order(order: list[int], lost: set[int]) -> None:
    reader = Reader()
    reader.take(0)
    for number in [number for number in order if number and number not in lost] + list(range(12, 90)):
        reader.take(number)
    assert reader.pictures == sorted(set(reader.pictures))
    assert set(range(4, 30)) <= set(reader.pictures) | {number // PACKETS for number in lost}
    assert HOLD // STEP < 26


async def test_it_takes_its_place_in_the_installed_aiortc() -> None:
    peer = RTCPeerConnection()
    receiver = peer.addTransceiver("video").receiver
    buffer = video_buffer.install(receiver, Arrivals(90_000, FakeClock()))
    assert receiver._RTCRtpReceiver__jitter_buffer is buffer  # type: ignore[attr-defined]
    await peer.close()
