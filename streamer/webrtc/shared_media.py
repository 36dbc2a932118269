"""A session's pictures and sound, encoded once for all its watchers.

aiortc's senders accept encoded packets (`av.Packet`) and send them unchanged by RTP. Keyframes are then this module's
responsibility: one is made when a watcher joins, requests one or missed pictures, at most one per KEYFRAME_GAP_S.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from streamer.audio.format import Samples
from streamer.core.aio import Clock
from streamer.core.frames import ByteArray
from streamer.core.pictures import has_alpha
from streamer.core.rates import FPS
from streamer.webrtc.alpha import side_by_side
from streamer.webrtc.codecs import START_BITRATE
from streamer.webrtc.opus_encoder import OpusEncoder
from streamer.webrtc.tracks import VIDEO_CLOCK, VIDEO_STEP, FedTrack

KEYFRAME_GAP_S = 0.5
MOST_WAITING = 12  # packets queued for a watcher; when full, the queue is dropped
# The options of aiortc's own encoder (codecs/vpx.py), without adaptation to one peer's network.
VP8 = {"deadline": "realtime", "cpu-used": "-6", "lag-in-frames": "0", "static-thresh": "1", "undershoot-pct": "100"}

Packet = av.Packet


class PacketTrack(FedTrack[Any]):
    """Track of encoded packets for one watcher. `miss`: called when packets were dropped."""

    def __init__(self, kind: str, miss: Callable[[], None] = lambda: None) -> None:
        super().__init__(MOST_WAITING)
        self.kind = kind
        self._miss = miss
        self._whole = kind == "audio"  # the next packet is decodable: no reference picture was dropped

    def put(self, packet: Any) -> None:
        """Queue a packet; after dropped pictures, queue nothing until the next keyframe."""
        if len(self._held) >= MOST_WAITING:
            self._held.clear()
            self._whole = self.kind == "audio"
            self._miss()
        self._whole = self._whole or packet.is_keyframe
        if self._whole:
            self._put(packet)

    async def recv(self) -> Any:
        """Return the next packet. Raises MediaStreamError once the track is stopped."""
        return await self._next()


class SharedMedia:
    """Shared encoders of one session. Without watchers nothing is encoded.

    skipped: pictures that arrived while the previous one was still being encoded.
    """

    def __init__(self, clock: Clock) -> None:
        self.skipped = 0
        self._clock = clock
        self._watching: list[tuple[PacketTrack, PacketTrack]] = []
        self._encoder: VideoCodecContext | None = None
        self._opus: OpusEncoder | None = None
        self._encoding: asyncio.Task[None] | None = None
        self._keyframe_wanted = False
        self._keyframe_at = clock.now() - KEYFRAME_GAP_S

    @property
    def watching(self) -> int:
        """Number of watchers."""
        return len(self._watching)

    @property
    def encoding(self) -> bool:
        """Whether a picture is being encoded."""
        return self._encoding is not None and not self._encoding.done()

    def join(self) -> tuple[PacketTrack, PacketTrack]:
        """Add a watcher and return its sound and picture tracks; pass them to `leave` later."""
        tracks = PacketTrack("audio"), PacketTrack("video", self.want_keyframe)
        self._watching.append(tracks)
        self.want_keyframe()
        return tracks

    def leave(self, tracks: tuple[PacketTrack, PacketTrack]) -> None:
        """Remove a watcher and stop its tracks."""
        self._watching.remove(tracks)
        for track in tracks:
            track.stop()
        if not self._watching:
            self._encoder = self._opus = None

    def want_keyframe(self) -> None:
        """Request a keyframe soon."""
        self._keyframe_wanted = True

    def play(self, block: int, samples: Samples) -> None:
        """Take the session's `block`-th packet of sound, int16 [AUDIO_BLOCK, 2]."""
        if not self._watching:
            return
        if self._opus is None:
            self._opus = OpusEncoder()
        for packet in self._opus.encode(block, samples):
            for sound, _ in self._watching:
                sound.put(packet)

    def show(self, frame: int, picture: ByteArray) -> None:
        """Take the picture of a frame, uint8 [H, W, 3 or 4]; it is encoded in a thread."""
        if not self._watching:
            return
        if self.encoding:
            self.skipped += 1
            return
        self._encoding = asyncio.create_task(self._encode(frame, picture))

    async def _encode(self, number: int, picture: ByteArray) -> None:
        height, width = picture.shape[0], picture.shape[1] * (2 if has_alpha(picture) else 1)
        if self._encoder is None or (self._encoder.width, self._encoder.height) != (width, height):
            self._encoder, self._keyframe_wanted = _vp8_encoder(width, height), True
        keyframe = self._keyframe_wanted and self._clock.now() - self._keyframe_at >= KEYFRAME_GAP_S
        if keyframe:
            self._keyframe_wanted, self._keyframe_at = False, self._clock.now()
        packets = await asyncio.to_thread(_encoded, self._encoder, picture, keyframe)
        for packet in packets:
            packet.pts, packet.time_base = number * VIDEO_STEP, Fraction(1, VIDEO_CLOCK)
            for _, pictures in self._watching:
                pictures.put(packet)


def _encoded(encoder: VideoCodecContext, picture: ByteArray, keyframe: bool) -> list[Any]:
    frame = av.VideoFrame.from_ndarray(side_by_side(picture) if has_alpha(picture) else picture, format="rgb24")
    frame = frame.reformat(format="yuv420p")
    if keyframe:
        frame.pict_type = PictureType.I
    return list(encoder.encode(frame))


def _vp8_encoder(width: int, height: int) -> VideoCodecContext:
    encoder = av.CodecContext.create("libvpx", "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.bit_rate, encoder.gop_size = START_BITRATE, 3000
    encoder.framerate, encoder.time_base = Fraction(FPS), Fraction(1, FPS)
    encoder.qmin, encoder.qmax, encoder.thread_count = 2, 56, 1
    rate = str(START_BITRATE)
    encoder.options = VP8 | {"bufsize": rate, "minrate": rate, "maxrate": rate}
    return encoder
