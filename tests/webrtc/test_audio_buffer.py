"""The microphone's packets come out in order and at once, and a lost one delays nothing after it."""

import pytest
from aiortc.rtp import RtpPacket
from hypothesis import given
from hypothesis import strategies as st

from streamer.webrtc.audio_buffer import HOLD_PACKETS, MicrophoneBuffer, ReorderBuffer


def packet(number: int) -> RtpPacket:
    made = RtpPacket(payload_type=96, sequence_number=number & 0xFFFF, timestamp=number * 960 & 0xFFFFFFFF)
    made._data = number.to_bytes(4, "big")  # type: ignore[attr-defined]
    return made


def numbers(buffer: ReorderBuffer, sent: list[int]) -> list[list[int]]:
    return [[ready.sequence_number for ready in buffer.push(packet(number))] for number in sent]


def test_packets_in_order_are_released_at_once() -> None:
    assert numbers(ReorderBuffer(), [7, 8, 9]) == [[7], [8], [9]]


def test_two_that_changed_places_are_put_right() -> None:
    buffer = ReorderBuffer()
    assert numbers(buffer, [1, 3, 2, 4]) == [[1], [], [2, 3], [4]]
    assert (buffer.lost, buffer.late) == (0, 0)


def test_a_lost_packet_holds_up_the_others_for_one_packet_only() -> None:
    buffer = ReorderBuffer()
    released = numbers(buffer, [1, 3, 4, 5, 6])
    assert released == [[1], [], [3, 4], [5], [6]]
    assert buffer.lost == 1
    assert numbers(buffer, [2]) == [[]]
    assert buffer.late == 1


def test_sequence_numbers_wrap() -> None:
    assert numbers(ReorderBuffer(), [65534, 65535, 65536, 65537]) == [[65534], [65535], [0], [1]]


def test_a_sender_that_starts_anew_is_followed() -> None:
    assert numbers(ReorderBuffer(), [10, 11, 30_000, 30_001]) == [[10], [11], [30_000], [30_001]]


@pytest.mark.slow
@given(st.lists(st.booleans(), min_size=20, max_size=200))
def test_whatever_is_lost_the_rest_comes_in_order_and_never_late(lost: list[bool]) -> None:
    buffer = ReorderBuffer()
    sent = [number for number, gone in enumerate(lost) if not gone]
    released: list[int] = []
    for at, number in enumerate(sent):
        released += [ready.sequence_number for ready in buffer.push(packet(number))]
        assert at + 1 - len(released) <= HOLD_PACKETS
    assert released == sorted(released)
    assert set(released) <= set(sent)


def test_what_waited_behind_a_lost_packet_is_decoded_too() -> None:
    decoded: list[int] = []
    buffer = MicrophoneBuffer(lambda ready, frame: decoded.append(frame.timestamp // 960))
    for number in (1, 3, 4):
        assert buffer.add(packet(number)) == (False, None)
    assert decoded == [1, 3, 4]
