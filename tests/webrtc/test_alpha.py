"""Transparency through VP8, as it goes over WebRTC: clear stays clear, solid stays solid."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from aiortc.codecs.vpx import Vp8Decoder, Vp8Encoder, vp8_depayload
from aiortc.jitterbuffer import JitterFrame
from av import VideoFrame

from streamer.core.pictures import opaque
from streamer.webrtc.alpha import joined, side_by_side

SIDE = 128


def test_colour_and_matte_come_back_as_one() -> None:
    encoder, decoder = Vp8Encoder(), Vp8Decoder()
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for moved in range(10):
        distance = np.hypot(rows - SIDE / 2, columns - SIDE / 2 - moved)
        alpha = np.clip((40 - distance) * 32, 0, 255).astype(np.uint8)  # an edge 8 pixels wide
        colour = np.stack([rows * 2, columns * 2, np.full_like(rows, 90)], axis=2).astype(np.uint8)
        frame = VideoFrame.from_ndarray(side_by_side(np.dstack([colour, alpha])), format="rgb24")
        frame.pts, frame.time_base = moved * 3600, Fraction(1, 90_000)
        payloads, _ = encoder.encode(frame, False)
        data = b"".join(vp8_depayload(payload) for payload in payloads)
        (decoded,) = decoder.decode(JitterFrame(data, moved * 3600))
        assert isinstance(decoded, VideoFrame)
        back = joined(np.asarray(decoded.to_ndarray(format="rgb24"), np.uint8))
        assert back.shape == (SIDE, SIDE, 4)
        assert (back[..., 3][distance > 50] == 0).all()
        assert (back[..., 3][distance < 25] == 255).all()
        assert np.abs(back[..., :3].astype(int) - colour)[distance < 25].mean() < 12


def test_opaque_hides_all() -> None:
    picture = np.full((2, 3, 3), 7, np.uint8)
    assert opaque(picture).tolist() == [[[7, 7, 7, 255]] * 3] * 2
