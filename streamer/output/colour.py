"""Converts pictures to YUV in BT.709, studio range, and marks streams accordingly.

Without marks, players guess by the picture's size: they read small ones as BT.601, and skin tones shift.
"""

from __future__ import annotations

import av
from av.video.reformatter import ColorRange, Colorspace

from streamer.core.frames import ByteArray
from streamer.core.pictures import has_alpha

BT709 = 1  # primaries and transfer, as H.273 numbers them


def mark(stream: av.VideoStream) -> None:
    """Set matrix, range, primaries and transfer of a stream that is about to be encoded."""
    context = stream.codec_context
    context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
    context.color_primaries = context.color_trc = BT709


def converted(rgb: ByteArray, pixels: str) -> av.VideoFrame:
    """Convert uint8 [h, w, 3], or [h, w, 4] with alpha, to a frame in FFmpeg's pixel format `pixels`."""
    frame = av.VideoFrame.from_ndarray(rgb, format="rgba" if has_alpha(rgb) else "rgb24").reformat(
        format=pixels, dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
    )
    frame.color_primaries = frame.color_trc = BT709  # ProRes marks every frame
    return frame
