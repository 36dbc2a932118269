"""What the browser receives: a sound track and a picture track that sleep on the same clock.

Both send what belongs together at the same moment, as browsers synchronise by the moment of sending.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame

from streamer.audio.format import AUDIO_BLOCK, RATE, Samples
from streamer.core.aio import Clock
from streamer.core.frames import ByteArray
from streamer.core.pictures import has_alpha
from streamer.core.rates import FPS, exact_div
from streamer.session.schedule import FrameSchedule, Schedule
from streamer.webrtc.alpha import side_by_side

VIDEO_CLOCK = 90_000  # Hz, of video in RTP
VIDEO_STEP = exact_div(VIDEO_CLOCK, FPS)  # aiortc's own helper is fixed at 30 fps


class SessionTime:
    """Seconds since the session's start: the moment the first track is asked for media, once the peer is connected."""

    def __init__(self, clock: Clock, on_start: Callable[[float], None]) -> None:
        self._clock = clock
        self._on_start = on_start
        self._start: float | None = None

    def now(self) -> float:
        """Seconds since the start; the first call is the start."""
        if self._start is None:
            self._start = self._clock.now()
            self._on_start(self._start)
        return self._clock.now() - self._start

    async def sleep_until(self, seconds: float) -> None:
        """Return `seconds` after the start."""
        await self._clock.sleep_until(self._clock.now() + seconds - self.now())


class AvatarAudioTrack(MediaStreamTrack):
    """Opus-sized blocks of 48 kHz stereo. `pull(block, now)` gives int16 [AUDIO_BLOCK, 2] and never waits."""

    kind = "audio"

    def __init__(self, time: SessionTime, schedule: Schedule, pull: Callable[[int, float], Samples]) -> None:
        super().__init__()
        self._time = time
        self._schedule = schedule
        self._pull = pull

    async def recv(self) -> AudioFrame:
        """The next block, at its moment."""
        if self.readyState != "live":
            raise MediaStreamError
        block = self._schedule.next_tick(self._time.now())
        await self._time.sleep_until(self._schedule.due(block))
        samples = self._pull(block, self._time.now())
        frame = AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate = RATE
        frame.pts = block * AUDIO_BLOCK
        frame.time_base = Fraction(1, RATE)
        return frame


class AvatarVideoTrack(MediaStreamTrack):
    """Pictures at FPS. `pull(frame)` gives uint8 [H, W, 3] of a frame (negative: before the first) and never waits.

    [H, W, 4] is sent twice as wide; see `side_by_side`.
    """

    kind = "video"

    def __init__(self, time: SessionTime, schedule: FrameSchedule, pull: Callable[[int], ByteArray]) -> None:
        super().__init__()
        self._time = time
        self._schedule = schedule
        self._pull = pull

    async def recv(self) -> VideoFrame:
        """The next picture, at its moment.

        Always a new VideoFrame, also for the same picture: aiortc marks the frame it encodes as a keyframe, and one
        that is sent again would be a keyframe for ever (measured: 9.5 kB instead of 236 bytes).
        """
        if self.readyState != "live":
            raise MediaStreamError
        tick = self._schedule.next_tick(self._time.now())
        await self._time.sleep_until(self._schedule.due(tick))
        picture = self._pull(self._schedule.frame_of(tick))
        frame = VideoFrame.from_ndarray(side_by_side(picture) if has_alpha(picture) else picture, format="rgb24")
        frame.pts = tick * VIDEO_STEP
        frame.time_base = Fraction(1, VIDEO_CLOCK)
        return frame
