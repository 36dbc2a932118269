"""A caller without a browser: sends a sound as its microphone, and records the returned sound and pictures with times.

It has no playout buffer: the recorded times are the earliest at which a browser could show or play the data.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from types import TracebackType

import cv2
import numpy as np
from aiortc import MediaStreamTrack, RTCDtlsTransport
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import is_rtcp
from av import AudioFrame, VideoFrame
from numpy.typing import NDArray

from streamer.audio.format import AUDIO_BLOCK, RATE
from streamer.core.aio import Clock, MonotonicClock
from streamer.webrtc import audio_buffer
from streamer.webrtc.call import Call
from streamer.webrtc.private_parts import Send, Transport
from streamer.webrtc.tracks import VIDEO_STEP

MOUTH_ROWS, MOUTH_COLUMNS = (0.62, 0.88), (0.3, 0.7)  # of the picture height and width: the mouth region of a portrait

MOUTH_SIDE = 64  # pixels it is resized to: the picture size may change during a call

Mono = NDArray[np.int16]
Grey = NDArray[np.float32]


@dataclass
class Heard:
    """A sound packet received at `moment`; `level` is the peak (0..1) of each of its milliseconds."""

    moment: float
    level: Grey


@dataclass
class Seen:
    """A picture received at `moment`: its `size` (height, width), its mouth region (grey 0..255), and its frame number.

    Frame numbers have an arbitrary start; a missing number was not sent, or was lost on the way.
    """

    moment: float
    size: tuple[int, int]
    mouth: Grey
    frame: int = 0


@dataclass
class Recording:
    """Everything received. `start`: the time of the microphone's first sample."""

    start: float = 0.0
    sound: list[Heard] = field(default_factory=list)
    pictures: list[Seen] = field(default_factory=list)


class SoundTrack(MediaStreamTrack):
    """A simulated microphone, mono int16 at 48 kHz: it delivers each packet at the time of its last sample."""

    kind = "audio"

    def __init__(self, sound: Mono, recording: Recording, clock: Clock) -> None:
        super().__init__()
        self._sound, self._recording, self._clock = sound, recording, clock
        self._block = 0

    async def recv(self) -> AudioFrame:
        """Return the next packet; after the end of the sound, silence."""
        if self._block == 0:
            self._recording.start = self._clock.now()
        first = self._block * AUDIO_BLOCK
        await self._clock.sleep_until(self._recording.start + (first + AUDIO_BLOCK) / RATE)
        samples = self._sound[first : first + AUDIO_BLOCK]
        frame = AudioFrame.from_ndarray(np.pad(samples, (0, AUDIO_BLOCK - len(samples)))[None], layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, first, Fraction(1, RATE)
        self._block += 1
        return frame


class Caller:
    """A call to the server at `url`, open inside `async with`; `recording` holds everything received.

    `sound`: the microphone's sound; None means no microphone, for a session that gets its speech through the API.
    `loss`: share of the microphone's packets to drop at random. `token`: the server's access token, if it needs one.
    """

    def __init__(
        self,
        url: str,
        sound: Mono | None,
        query: str = "",
        clock: Clock | None = None,
        loss: float = 0.0,
        token: str | None = None,
    ) -> None:
        self.recording = Recording()
        self._loss = loss
        self._clock = clock or MonotonicClock()
        microphone = None if sound is None else SoundTrack(sound, self.recording, self._clock)
        self._call = Call(url, query, microphone, self._read, token)
        audio_buffer.install(self._call.audio.receiver)

    @property
    def location(self) -> str:
        """The session's URL."""
        return self._call.location

    @property
    def watch(self) -> str:
        """Path under which viewers may watch the session."""
        return self._call.watch

    @property
    def ended(self) -> bool:
        """Whether the server has ended the call, or the connection is lost."""
        return self._call.ended.is_set()

    async def __aenter__(self) -> Caller:
        """Start the call. Raises SessionError, with the server's message, when it refuses."""
        await self._call.__aenter__()
        if self._loss:
            _lose(self._call.audio.sender.transport, self._loss)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._call.__aexit__(kind, error, trace)

    def watch_packets(self, take: Callable[[float, bytes], None]) -> None:
        """Pass each RTP packet to `take` with its arrival time, from now on; call this once the call is open."""

        def noted(data: bytes) -> bool:
            take(self._clock.now(), data)
            return True

        Transport(self._call.audio.receiver.transport).filter_media(noted, lambda data: data)

    async def vanish(self) -> None:
        """Vanish without closing, like a machine that loses its network: nothing more is sent."""
        await self._call.vanish()

    async def _read(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                now = self._clock.now()
                if isinstance(frame, AudioFrame):
                    samples = np.asarray(frame.to_ndarray(), np.float32).reshape(-1, RATE // 1000 * 2)
                    self.recording.sound.append(Heard(now, np.abs(samples).max(axis=1) / 32768))
                elif isinstance(frame, VideoFrame):
                    self.recording.pictures.append(_seen(frame, now))


def _lose(transport: RTCDtlsTransport, share: float) -> None:
    """Drop RTP packets, all from the microphone, before they are encrypted; RTCP reports still pass."""
    random = np.random.default_rng()

    def losing(send: Send) -> Send:
        async def send_some(data: bytes) -> None:
            if is_rtcp(data) or random.random() >= share:
                await send(data)

        return send_some

    Transport(transport).replace_send(losing)


def _seen(frame: VideoFrame, now: float) -> Seen:
    grey = frame.to_ndarray(format="gray")
    height, width = grey.shape
    rows = slice(round(MOUTH_ROWS[0] * height), round(MOUTH_ROWS[1] * height))
    columns = slice(round(MOUTH_COLUMNS[0] * width), round(MOUTH_COLUMNS[1] * width))
    mouth = cv2.resize(grey[rows, columns], (MOUTH_SIDE, MOUTH_SIDE), interpolation=cv2.INTER_AREA)
    return Seen(now, (height, width), np.asarray(mouth, np.float32), round((frame.pts or 0) / VIDEO_STEP))
