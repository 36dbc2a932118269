"""What of a stream did not come: packets lost on the way, told apart from what its sender left out.

A lost packet leaves a gap in the sequence numbers; a picture or a packet of sound that was never sent leaves one in the
timestamps alone (RFC 3550, 5.1). The load of a machine does the second; harm to the way does the first.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from streamer.audio.format import AUDIO_BLOCK
from streamer.webrtc.tracks import VIDEO_STEP

STEPS = {96: AUDIO_BLOCK, 97: VIDEO_STEP}  # of timestamps, by the payload types that aiortc offers
SOUND, PICTURES = STEPS


class Arrival(NamedTuple):
    """One packet."""

    moment: float
    kind: int
    sequence: int
    timestamp: int


@dataclass
class Gaps:
    """Of one or several streams: packets lost, packets of sound and pictures not sent, longest time between two
    pictures, s.
    """

    lost: int = 0
    sound: int = 0
    pictures: int = 0
    longest_s: float = 0.0

    def __add__(self, other: Gaps) -> Gaps:
        """Of both."""
        return Gaps(
            self.lost + other.lost,
            self.sound + other.sound,
            self.pictures + other.pictures,
            max(self.longest_s, other.longest_s),
        )


@dataclass
class RtpLog:
    """Of one call."""

    arrivals: list[Arrival] = field(default_factory=list)

    def take(self, moment: float, data: bytes) -> None:
        """Note a packet."""
        kind, sequence, timestamp = struct.unpack_from("!xBHI", data)
        if kind & 0x7F in STEPS:
            self.arrivals.append(Arrival(moment, kind & 0x7F, sequence, timestamp))

    def gaps(self, since: float, until: float) -> Gaps:
        """What is missing between two moments; packets in the wrong order are not."""
        found = Gaps()
        for kind in STEPS:
            stream = [each for each in self.arrivals if each.kind == kind and since <= each.moment <= until]
            found += _gaps(stream, kind, since, until)
        return found


def _gaps(stream: Sequence[Arrival], kind: int, since: float, until: float) -> Gaps:
    moments = [since, *(each.moment for each in stream), until]
    longest = max(other - one for one, other in itertools.pairwise(moments))
    if not stream:
        return Gaps(0, 0, 0, longest if kind == PICTURES else 0.0)
    numbers = _unwrapped([each.sequence for each in stream], 1 << 16)
    lost = numbers[-1] - numbers[0] + 1 - len(set(numbers))
    times = sorted(set(_unwrapped([each.timestamp for each in stream], 1 << 32)))
    left_out = sum(round((other - one) / STEPS[kind]) - 1 for one, other in itertools.pairwise(times))
    left_out = max(0, left_out - lost)  # where a packet is lost, its timestamp is missing, too
    return Gaps(lost, left_out, 0, 0.0) if kind == SOUND else Gaps(lost, 0, left_out, longest)


def _unwrapped(numbers: Sequence[int], modulus: int) -> list[int]:
    """The same numbers, in order, without their jumps at the modulus."""
    found = [numbers[0]]
    for number in numbers[1:]:
        step = (number - found[-1] + modulus // 2) % modulus - modulus // 2
        found.append(found[-1] + step)
    return sorted(found)
