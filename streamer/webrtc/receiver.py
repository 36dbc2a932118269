"""The private parts of an aiortc receiver that the jitter buffers replace."""

from __future__ import annotations

import queue
from typing import Any

from aiortc import RTCRtpReceiver
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtp import RtpPacket

from streamer.core.errors import SessionError


class Receiver:
    """What aiortc keeps to itself of a receiver.

    Raises:
        SessionError: this version of aiortc keeps its receiver in another way.
    """

    def __init__(self, receiver: RTCRtpReceiver) -> None:
        self._receiver = receiver
        self._codecs: dict[int, Any] = self._private("codecs")
        self._decoder: queue.Queue[Any] = self._private("decoder_queue")
        self._mapper = self._private("timestamp_mapper")
        self._private("jitter_buffer")

    def deliver(self, packet: RtpPacket, frame: JitterFrame) -> None:
        """Have a frame decoded whose codec is that of the packet."""
        frame.timestamp = self._mapper.map(frame.timestamp)
        self._decoder.put((self._codecs[packet.payload_type], frame))

    def replace_buffer(self, buffer: object) -> None:
        """Put this in place of the jitter buffer."""
        setattr(self._receiver, _mangled("jitter_buffer"), buffer)

    def _private(self, name: str) -> Any:
        try:
            return getattr(self._receiver, _mangled(name))
        except AttributeError:
            raise SessionError(
                f"the installed aiortc has no RTCRtpReceiver.__{name}, which the jitter buffers are built on; "
                "install aiortc 1.16"
            ) from None


def _mangled(name: str) -> str:
    return f"_RTCRtpReceiver__{name}"
