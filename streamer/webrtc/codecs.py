"""VP8 first, at a bit rate for a face.

Per picture VP8 costs a third of H.264 here and its keyframes a fifth (measured at 256 pixels: 0.8 ms and 7 packets,
2.4 ms and 37 packets), so it is preferred whenever the browser offers it.
"""

from __future__ import annotations

from aiortc import RTCRtpReceiver, RTCRtpTransceiver
from aiortc.codecs import vpx
from aiortc.rtcrtpparameters import RTCRtpCodecCapability

from streamer.core.errors import SessionError

# aiortc starts at 500 kbit/s and follows the browser's estimate between 250 and 1500; each change of more than a
# tenth restarts its encoder with a keyframe. So it starts high enough for a face of 512 pixels (1.3 Mbit/s with VP8 at
# its usual quality), may rise to what 768 take, and the floor keeps a careful estimate from blurring teeth.
START_BITRATE = 1_600_000
MIN_BITRATE = 500_000
MAX_BITRATE = 3_000_000


def set_bitrates() -> None:
    """Give every VP8 encoder of this process the rates above.

    Raises:
        SessionError: this version of aiortc keeps its rates elsewhere.
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
    """Negotiate Opus only: the timeline is 48 kHz stereo, which the other codecs of aiortc are not."""
    capabilities = RTCRtpReceiver.getCapabilities("audio")
    assert capabilities is not None  # it is only for kinds of media that do not exist
    transceiver.setCodecPreferences([codec for codec in capabilities.codecs if codec.mimeType.lower() == "audio/opus"])


def prefer_vp8(transceiver: RTCRtpTransceiver) -> None:
    """Put VP8 first; it takes effect only before the remote description is set."""
    capabilities = RTCRtpReceiver.getCapabilities("video")
    assert capabilities is not None  # it is only for kinds of media that do not exist
    transceiver.setCodecPreferences(sorted(capabilities.codecs, key=_rank))


def only_vp8(transceiver: RTCRtpTransceiver) -> None:
    """Negotiate VP8 only, for what is encoded once."""
    capabilities = RTCRtpReceiver.getCapabilities("video")
    assert capabilities is not None  # it is only for kinds of media that do not exist
    wanted = [codec for codec in capabilities.codecs if codec.mimeType.lower() in ("video/vp8", "video/rtx")]
    transceiver.setCodecPreferences(wanted)


def _rank(codec: RTCRtpCodecCapability) -> int:
    return 0 if codec.mimeType.lower() == "video/vp8" else 1
