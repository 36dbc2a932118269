"""Lost packets, and what was never sent."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from streamer.webrtc.tracks import VIDEO_STEP
from tests.measure.rtp_log import PICTURES, SOUND, RtpLog


def log(packets: Iterable[tuple[int, int, int]], kind: int = PICTURES, each_s: float = 0.04) -> RtpLog:
    """Of packets (sequence number, timestamp in frames, marker), that came one after the other."""
    found = RtpLog()
    step = VIDEO_STEP if kind == PICTURES else 960
    for number, (sequence, frame, marker) in enumerate(packets):
        header = struct.pack("!BBHII", 0x80, marker << 7 | kind, sequence % 65_536, frame * step % (1 << 32), 1)
        found.take(number * each_s, header)
    return found


def test_what_is_lost_on_the_way_is_told_from_what_was_not_sent() -> None:
    whole = [(number, number, 1) for number in range(65_530, 65_550)]  # past the greatest sequence number
    assert (log(whole).gaps(0, 0.8).lost, log(whole).gaps(0, 0.8).pictures) == (0, 0)
    lost = log([each for each in whole if each[0] not in (65_535, 65_536)]).gaps(0, 0.72)
    assert (lost.lost, lost.pictures) == (2, 0)
    left_out = log([(number, 2 * number, 1) for number in range(20)]).gaps(0, 0.8)
    assert (left_out.lost, left_out.pictures) == (0, 19)


def test_pictures_of_several_packets_and_packets_in_another_order_are_whole() -> None:
    of_two = [(number, number // 2, number % 2) for number in range(20)]
    of_two[4], of_two[5] = of_two[5], of_two[4]
    found = log(of_two).gaps(0, 0.8)
    assert (found.lost, found.pictures) == (0, 0)


def test_sound_is_counted_by_its_own_steps_and_other_packets_not_at_all() -> None:
    found = log([(0, 0, 0), (1, 1, 0), (2, 4, 0)], SOUND, 0.02).gaps(0, 0.04)
    assert (found.lost, found.sound, found.pictures) == (0, 2, 0)
    assert log([(0, 0, 0), (5, 5, 0)], kind=98).gaps(0, 1).lost == 0
