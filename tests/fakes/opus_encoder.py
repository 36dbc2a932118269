"""Opus as a text-to-speech service would send it: packets without a container."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from numpy.typing import NDArray

from streamer.audio.format import MS, RATE


def opus_packets(tone: NDArray[np.int16], milliseconds: int, channels: int) -> list[bytes]:
    """Mono sound int16 [n] at RATE, in packets of so many milliseconds."""
    codec = av.CodecContext.create("libopus", "w")
    assert isinstance(codec, AudioCodecContext)
    codec.sample_rate, codec.format = RATE, av.AudioFormat("s16")
    codec.layout = av.AudioLayout("stereo" if channels == 2 else "mono")
    codec.bit_rate, codec.options = 96_000, {"frame_duration": str(milliseconds)}
    codec.time_base = Fraction(1, RATE)
    packets = []
    for start in range(0, len(tone), milliseconds * MS):
        piece = np.repeat(tone[start : start + milliseconds * MS], channels)[None]
        frame = av.AudioFrame.from_ndarray(piece, format="s16", layout=codec.layout.name)
        frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
        packets += [bytes(packet) for packet in codec.encode(frame)]
    return packets + [bytes(packet) for packet in codec.encode(None)]
