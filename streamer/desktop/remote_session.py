"""Session whose face a running server computes: microphone sound goes up, pictures and sound come back.

The counterpart of `local_session`, with the same devices. Pictures continue if the server or the network fails: the
portrait shows, one line names the fault, and the call is retried until the server answers.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame

from streamer.audio.format import AUDIO_PTIME_MS, CHANNELS, RATE
from streamer.core.aio import Clock, until_first
from streamer.core.errors import SessionError
from streamer.core.frames import ByteArray
from streamer.core.pictures import has_alpha, opaque
from streamer.desktop.presenter import Note, Presenter
from streamer.desktop.remote_sync import Reception
from streamer.desktop.silence import Silence
from streamer.desktop.uplink import Uplink, UplinkTrack
from streamer.session.ends import PictureSink, SoundSink, SoundSource
from streamer.session.playout import Playout, PlayoutStats
from streamer.session.timeline import MARGIN_MS
from streamer.webrtc import audio_buffer, video_buffer
from streamer.webrtc.alpha import joined
from streamer.webrtc.call import Call, RefusedError
from streamer.webrtc.tracks import VIDEO_CLOCK
from streamer.webrtc.transit import Arrivals

BUFFER_MS = 120  # from arrival to playout: covers network jitter and decoding
PATIENCE_MS = BUFFER_MS - MARGIN_MS - AUDIO_PTIME_MS  # late sound is accepted until its playout is due
MOST_LEAD_MS = 400  # longest lead of a sound device; a slower device plays late
GONE_S = 3.0  # the server counts as gone after this long without a packet; it normally sends 75 a second
CONNECT_S = 15.0  # from the answer to the first packet
NETWORK_S = 0.5  # at the end, for packets in flight
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 5.0  # before a retry; doubled each time
LARGEST_SIDE = 4096  # pixels


@dataclass(frozen=True, eq=False)
class RemoteOptions:
    """Server and session options. query: query string of POST /session.

    still: uint8 [H, W, 3], shown while no face arrives; [H, W, 4] if pictures are to be transparent.
    microphone: False if speech is pushed to the server. token: for a server that requires one.
    """

    url: str
    query: str
    still: ByteArray
    microphone: bool = True
    token: str | None = field(default=None, repr=False)


class RemoteSession:
    """Session with a server. `note` gets one line per fault; `on_call` is called for each call that connects."""

    def __init__(
        self,
        options: RemoteOptions,
        clock: Clock,
        pictures: PictureSink,
        sound: SoundSink | None = None,
        note: Note = print,
        on_call: Callable[[Call], None] = lambda call: None,
    ) -> None:
        self._options = options
        self._clock = clock
        self._on_call = on_call
        lead_ms = 0 if sound is None else min(MOST_LEAD_MS, round(1000 * sound.lead_s))
        self._playout = Playout(-(-(BUFFER_MS + lead_ms) // AUDIO_PTIME_MS) * AUDIO_PTIME_MS, options.still)
        self._presenter = Presenter(self._playout, options.still, clock, pictures, sound, note)
        self._pacer = self._presenter.pacer
        self._reception = Reception(self._playout, self._pacer.schedule, PATIENCE_MS / 1000)
        self._uplink = Uplink(clock)
        self._call: Call | None = None
        self._server_ms = 0
        self._live = asyncio.Event()  # set at the first sound of the first call
        self._heard = self._seen = False  # sound and pictures of the current call
        self._silence = Silence(clock)

    @property
    def delay_ms(self) -> int:
        """Delay from sending a sample until it is played with its picture, without the network delay."""
        return self._server_ms + self._playout.delay_ms

    @property
    def playout_ms(self) -> int:
        """The part of `delay_ms` between arrival from the server and playout."""
        return self._playout.delay_ms

    @property
    def stats(self) -> PlayoutStats:
        """Return the counts of frames shown and repeated, and of missing sound, since the first call."""
        return self._playout.stats

    async def run(self, source: SoundSource) -> None:
        """Run until the source has ended and its last sound has been played.

        The source is opened when the first sound arrives from the server.

        Raises:
            SessionError: the server will never accept this session.
            MediaError: the source is a file that cannot be decoded.
        """
        self._pacer.begin()
        presenting = self._presenter.play(self._reception.tick), self._presenter.show()
        await until_first(self._listen(source), *presenting, self._keep_calling())

    async def _listen(self, source: SoundSource) -> None:
        await self._live.wait()
        await self._presenter.listen(source, self._uplink.push)
        await self._pacer.sleep_until(self._pacer.now() + self.delay_ms / 1000 + NETWORK_S)

    async def _keep_calling(self) -> None:
        wait_s = 0.0
        while True:
            self._heard, self._seen, asked_s = False, False, 0.0
            try:
                await self._hold_a_call()
                reason = f"{self._options.url}: the call has ended"
            except RefusedError as error:
                reason, asked_s = f"{self._options.url}: refused, {error}", error.retry_s or 0.0
                if error.retry_s is None and not self._live.is_set():
                    raise SessionError(reason) from None
            except SessionError as error:
                reason = str(error)
            self._presenter.trouble("server", f"{reason}; the portrait shows while it is called again")
            wait_s = FIRST_WAIT_S if self._heard else min(max(2 * wait_s, FIRST_WAIT_S), LONGEST_WAIT_S)
            await self._pacer.sleep_until(self._pacer.now() + max(wait_s, min(asked_s, LONGEST_WAIT_S)))

    async def _hold_a_call(self) -> None:
        """Make a call and wait until it ends.

        Raises:
            SessionError: the call failed, or no more packets arrived from the server.
        """
        track = UplinkTrack(self._uplink) if self._options.microphone else None
        self._call = call = Call(self._options.url, self._options.query, track, self._take, self._options.token)
        sound, pictures = Arrivals(RATE, self._clock), Arrivals(VIDEO_CLOCK, self._clock)
        audio_buffer.install(call.audio.receiver, sound)
        video_buffer.install(call.video.receiver, pictures)
        self._reception.begin(sound, pictures)
        async with call:
            self._silence.heard(CONNECT_S)
            self._server_ms = call.delay_ms
            self._on_call(call)
            await until_first(call.ended.wait(), self._silence.too_long())
            if not call.ended.is_set():
                raise SessionError(f"{self._options.url}: nothing comes from it any more")

    async def _take(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                self._silence.heard(GONE_S)
                if isinstance(frame, AudioFrame) and frame.sample_rate == RATE:
                    self._hear(frame)
                elif isinstance(frame, VideoFrame) and max(frame.width, frame.height) <= LARGEST_SIDE:
                    self._see(frame)

    def _hear(self, frame: AudioFrame) -> None:
        self._heard = True
        if not self._live.is_set():
            self._playout.stats = PlayoutStats()
            self._live.set()
        self._pacer.taken += 1
        samples = np.asarray(frame.to_ndarray(), np.int16).reshape(-1, CHANNELS)
        self._reception.hear(frame.pts or 0, samples, self._pacer.now())

    def _see(self, frame: VideoFrame) -> None:
        self._presenter.mended("server", "the face is back")
        rgb = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
        if self._call is not None and self._call.matte:
            rgb = joined(rgb)
        elif has_alpha(self._options.still):
            rgb = opaque(rgb)
        if not self._seen:  # the first picture is the portrait with the session's background and size
            self._presenter.still = rgb
            self._seen = True
        self._reception.see(float((frame.pts or 0) * (frame.time_base or 0)), rgb)
