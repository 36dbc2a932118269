"""Sound encoded with Opus before aiortc sees it, whose senders put what is encoded already (`av.Packet`) into RTP.

aiortc's own encoder takes a thread's turn for each packet and measures its level first: for 20 ms of sound that costs
more than encoding them (measured: 2 ms of two threads against 0.2 ms).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av

from streamer.audio.format import AUDIO_BLOCK, RATE, Samples

BITRATE = 96_000  # as aiortc's
# libopus' complexity, of 10: at this rate the higher ones weigh tones and transients of music more finely.
COMPLEXITY = 5
_TIME_BASE = Fraction(1, RATE)


class OpusEncoder:
    """One stream: blocks in, as many packets out. The codec is opened with the first block."""

    def __init__(self) -> None:
        self._codec: Any = None

    def encode(self, block: int, samples: Samples) -> list[Any]:
        """Take the stream's `block`-th packet, int16 [AUDIO_BLOCK, 2]; return it encoded, `av.Packet`."""
        if self._codec is None:
            self._codec = _open()
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate = RATE
        packets = list(self._codec.encode(frame))  # one for each block
        for packet in packets:
            packet.pts, packet.time_base = block * AUDIO_BLOCK, _TIME_BASE
        return packets


def _open() -> Any:
    codec: Any = av.CodecContext.create("libopus", "w")
    codec.sample_rate, codec.layout, codec.format = RATE, "stereo", "s16"
    codec.bit_rate = BITRATE
    codec.options = {"application": "voip", "compression_level": str(COMPLEXITY)}
    return codec
