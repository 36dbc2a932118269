"""Codec selection: Opus, and VP8 first at a bit rate suited to a face.

VP8 costs a third of H.264 per picture here, and its keyframes a fifth (measured at 256 pixels: 0.8 ms and 7 packets
against 2.4 ms and 37 packets), so it is preferred whenever the browser offers it.
"""

from __future__ import annotations

from aiortc import RTCRtpReceiver, RTCRtpTransceiver
from aiortc.codecs import vpx
from aiortc.rtcrtpparameters import RTCRtpCodecCapability

from streamer.core.errors import SessionError

# aiortc starts at 500 kbit/s and follows the browser's estimate between 250 and 1500; each change of more than a
# tenth restarts its encoder with a keyframe. So the start rate suits a face of 512 pixels (1.3 Mbit/s with VP8 at its
# usual quality), the maximum suits 768 pixels, and the minimum keeps teeth sharp when the estimate is low.
START_BITRATE = 1_600_000
MIN_BITRATE = 500_000
MAX_BITRATE = 3_000_000


def set_bitrates() -> None:
    """Set the rates above for every VP8 encoder of this process.

    Raises:
        SessionError: this version of aiortc lacks these attributes.
    """
    for name, value in (
        ("DEFAULT_BITRATE", START_BITRATE),
        ("MIN_BITRATE", MIN_BITRATE),
        ("MAX_BITRATE", MAX_BITRATE),
    ):
        if not hasattr(vpx, name):
            raise SessionError(f"the installed aiortc has no codecs.vpx.{name}; install aiortc 1.16")
        setattr(vpx, name, value)


def only_opus(transceiver: RTCRtpTransceiver) -> None:
    """Negotiate Opus only: the timeline is 48 kHz stereo, which aiortc's other codecs do not support."""
    capabilities = RTCRtpReceiver.getCapabilities("audio")
    assert capabilities is not None  # None only for unknown kinds of media
    transceiver.setCodecPreferences([codec for codec in capabilities.codecs if codec.mimeType.lower() == "audio/opus"])


def prefer_vp8(transceiver: RTCRtpTransceiver) -> None:
    """Prefer VP8; has an effect only before the remote description is set."""
    capabilities = RTCRtpReceiver.getCapabilities("video")
    assert capabilities is not None  # None only for unknown kinds of media
    transceiver.setCodecPreferences(sorted(capabilities.codecs, key=_rank))


def only_vp8(transceiver: RTCRtpTransceiver) -> None:
    """Negotiate VP8 only, for pictures encoded once for all watchers."""
    capabilities = RTCRtpReceiver.getCapabilities("video")
    assert capabilities is not None  # None only for unknown kinds of media
    wanted = [codec for codec in capabilities.codecs if codec.mimeType.lower() in ("video/vp8", "video/rtx")]
    transceiver.setCodecPreferences(wanted)


def _rank(codec: RTCRtpCodecCapability) -> int:
    return 0 if codec.mimeType.lower() == "video/vp8" else 1
