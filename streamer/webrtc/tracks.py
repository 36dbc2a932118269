"""Sound and picture tracks sent to the browser, fed by a pacer and read by aiortc's senders.

The pacer feeds matching sound and pictures at the same moment, because browsers synchronise by send time. Each track
has a short queue: if its sender does not keep up, or never started because the peer declined the track, the oldest
items are dropped, and the pacer never blocks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from fractions import Fraction
from typing import Any, Generic, TypeVar

from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import VideoFrame

from streamer.audio.format import Samples
from streamer.core.frames import ByteArray
from streamer.core.pictures import has_alpha
from streamer.core.rates import FPS, exact_div
from streamer.webrtc.alpha import side_by_side
from streamer.webrtc.opus_encoder import OpusEncoder

VIDEO_CLOCK = 90_000  # Hz, RTP clock of video
VIDEO_STEP = exact_div(VIDEO_CLOCK, FPS)  # aiortc's own helper is fixed at 30 fps
MOST_BLOCKS = 12  # 240 ms of sound: the longest catch-up after a stall, plus a margin
MOST_PICTURES = 4  # 160 ms of pictures, likewise
MOST_REPEATED = exact_div(FPS, 5)  # frames before an unchanged picture is sent again: 200 ms

Item = TypeVar("Item")


class FedTrack(MediaStreamTrack, Generic[Item]):
    """Queue of up to `most` unread items. dropped: items discarded since the first read."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.dropped = 0
        self._held: deque[Item] = deque(maxlen=most)
        self._changed = asyncio.Event()
        self._is_read = False

    def _put(self, item: Item) -> None:
        self.dropped += self._is_read and len(self._held) == self._held.maxlen
        self._held.append(item)
        self._changed.set()

    async def _next(self) -> Item:
        """Return the oldest item. Raises MediaStreamError once the track is stopped."""
        self._is_read = True
        while self.readyState == "live":
            if self._held:
                return self._held.popleft()
            self._changed.clear()
            await self._changed.wait()
        raise MediaStreamError

    def stop(self) -> None:
        """End the track and its readers."""
        super().stop()
        self._held.clear()
        self._changed.set()


class AvatarAudioTrack(FedTrack[tuple[int, Samples]]):
    """Sound track of 48 kHz stereo blocks, encoded when read."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__(MOST_BLOCKS)
        self._opus = OpusEncoder()

    def play(self, block: int, samples: Samples) -> None:
        """Take the session's `block`-th packet, int16 [AUDIO_BLOCK, 2]."""
        self._put((block, samples))

    async def recv(self) -> Any:
        """Return the next block in Opus, as `av.Packet`. Raises MediaStreamError once the track is stopped."""
        while True:
            block, samples = await self._next()
            for packet in self._opus.encode(block, samples):
                return packet


class AvatarVideoTrack(FedTrack[tuple[int, ByteArray]]):
    """Picture track of at most FPS; pictures with an alpha channel are sent twice as wide, see `side_by_side`.

    A picture shown for several frames is sent only once per MOST_REPEATED frames: encoding repeats would take processor
    time from making pictures.
    """

    kind = "video"

    def __init__(self) -> None:
        super().__init__(MOST_PICTURES)
        self._first: int | None = None
        self._shown: ByteArray | None = None
        self._shown_in = 0  # frame in which `_shown` was last sent

    def show(self, frame: int, picture: ByteArray) -> None:
        """Take the picture of a frame, uint8 [H, W, 3 or 4]; the first one gets timestamp 0."""
        if self._first is None:
            self._first = frame
        if picture is self._shown and frame - self._shown_in < MOST_REPEATED:
            return
        self._shown, self._shown_in = picture, frame
        self._put((frame - self._first, picture))

    async def recv(self) -> VideoFrame:
        """Return the next picture.

        Always create a new VideoFrame, even for an unchanged picture: aiortc marks a frame that it encodes as a
        keyframe, so a reused frame would stay a keyframe (measured: 9.5 kB instead of 236 bytes).
        """
        tick, picture = await self._next()
        frame = VideoFrame.from_ndarray(side_by_side(picture) if has_alpha(picture) else picture, format="rgb24")
        frame.pts = tick * VIDEO_STEP
        frame.time_base = Fraction(1, VIDEO_CLOCK)
        return frame
