"""WHIP output of pictures and the delayed sound to a media server: a `PictureSink` and a `SoundSink` in one.

The connection runs in a thread with a separate event loop, so that encoding never delays a session. A lost stream is
published again.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

import numpy as np
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription

from streamer.audio.format import AUDIO_BLOCK, AUDIO_PTIME_MS, CHANNELS, Samples
from streamer.core.errors import DeviceError, SessionError
from streamer.core.frames import ByteArray
from streamer.core.letterbox import Fit
from streamer.core.rates import FRAME_MS
from streamer.webrtc.call import shown
from streamer.webrtc.codecs import only_opus, prefer_vp8, set_bitrates
from streamer.webrtc.tracks import AvatarAudioTrack, AvatarVideoTrack
from streamer.webrtc.whip_client import WhipClient

CONNECT_S = 15.0  # timeout from the answer to the connection
CLOSE_S = 3.0
RETRY_S = 1.0  # delay before the first reconnection attempt; doubled after each
LONGEST_RETRY_S = 15.0
MOST_WAITING = 64  # pictures and packets queued for the thread
QUIET: Samples = np.zeros((AUDIO_BLOCK, CHANNELS), np.int16)


class WhipOutput:
    """A published stream that starts with the first picture and is silent until `begin`. name: for messages."""

    lead_s = 0.0

    def __init__(
        self, url: str, name: str, token: str | None, fit: Fit, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Start publishing; may take seconds.

        Raises:
            DeviceError: the server does not answer, or refuses the stream.
        """
        self.name = name
        self.dropped = 0  # pictures and packets of sound, including those during a lost connection
        self._url, self._token, self._fit, self._monotonic = url, token, fit, monotonic
        set_bitrates()
        self._start = monotonic()
        self._begun = False
        self._base = self._block = 0  # stream packet at which the session began, and the next stream packet
        self._failure: DeviceError | None = None
        self._fitted: tuple[ByteArray, ByteArray] | None = None  # the last picture, as received and as sent
        self._waiting: deque[Callable[[], None]] = deque()
        self._tracks: tuple[AvatarAudioTrack, AvatarVideoTrack] | None = None
        self._ice_servers: list[RTCIceServer] = []
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._opened: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="whip-output", daemon=True)
        self._thread.start()
        self._opened.result()

    def begin(self, delay_ms: int) -> None:
        """Begin a session: the pictures and packets that follow belong to it."""
        self._base = max(self._block, self._elapsed_ms() // AUDIO_PTIME_MS)
        self._begun = True

    def show(self, frame: int, rgb: ByteArray) -> None:
        """Queue a picture. Raises DeviceError while the stream is lost; reconnection is retried."""
        moment = self._elapsed_ms()
        if not self._begun:  # some servers wait for both sound and pictures
            for _ in range(0, FRAME_MS, AUDIO_PTIME_MS):
                self._put_sound(self._block, QUIET)
        self._put(partial(self._show, moment // FRAME_MS, rgb))
        if (failure := self._failure) is not None:
            raise failure

    def play(self, block: int, samples: Samples) -> None:
        """Queue a packet of the session's sound; `show` reports failures."""
        if self._begun:
            self._put_sound(self._base + block, samples)

    def close(self) -> None:
        """End the publication."""
        with contextlib.suppress(RuntimeError):  # the event loop is closed
            self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(2 * CLOSE_S)

    def __enter__(self) -> WhipOutput:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _elapsed_ms(self) -> int:
        return round(1000 * (self._monotonic() - self._start))

    def _put_sound(self, block: int, samples: Samples) -> None:
        self._block = block + 1
        self._put(partial(self._play, block, samples))

    def _put(self, act: Callable[[], None]) -> None:
        if self._failure is not None or len(self._waiting) >= MOST_WAITING:
            self.dropped += 1
            return
        self._waiting.append(act)
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._take)

    # The methods below run in the thread.

    def _take(self) -> None:
        while self._waiting:
            self._waiting.popleft()()

    def _play(self, block: int, samples: Samples) -> None:
        if self._tracks is not None:
            self._tracks[0].play(block, samples)

    def _show(self, frame: int, rgb: ByteArray) -> None:
        if self._tracks is None:
            return
        if self._fitted is None or self._fitted[0] is not rgb:
            self._fitted = rgb, self._fit.put(rgb)
        self._tracks[1].show(frame, self._fitted[1])  # the track rarely resends an unchanged picture

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._publish_for_ever())
        except BaseException as error:
            if not self._opened.done():
                self._opened.set_exception(error)
            raise
        finally:
            self._loop.close()

    async def _publish_for_ever(self) -> None:
        pause = RETRY_S
        while not self._closing.is_set():
            try:
                await self._publish()
                return
            except SessionError as error:
                if not self._opened.done():
                    self._opened.set_exception(DeviceError(f"{self.name}: cannot be opened ({error})"))
                    return
                self._failure = DeviceError(f"the output {self.name} is gone ({error})")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), pause)
            pause = min(2 * pause, LONGEST_RETRY_S)

    async def _publish(self) -> None:
        """Publish until `close`. Raises SessionError if the connection fails or is lost."""
        configuration = RTCConfiguration(iceServers=self._ice_servers, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        peer, tracks = RTCPeerConnection(configuration), (AvatarAudioTrack(), AvatarVideoTrack())
        audio, video = (peer.addTransceiver(track, "sendonly") for track in tracks)
        only_opus(audio)
        prefer_vp8(video)
        connected, lost = asyncio.Event(), asyncio.Event()

        def follow() -> None:
            if peer.connectionState == "connected":
                connected.set()
            elif peer.connectionState in ("failed", "closed"):
                lost.set()

        peer.on("connectionstatechange", follow)
        try:
            async with WhipClient(self._url, self._token) as client:
                await self._negotiate(client, peer)
                if not await _first(connected, lost, CONNECT_S):
                    raise SessionError("no connection comes about: a firewall may block UDP on the way")
                self._tracks, self._failure = tracks, None
                if not self._opened.done():
                    self._opened.set_result(None)
                if not await _first(self._closing, lost):
                    raise SessionError("the connection was closed, or has failed")
        finally:
            self._tracks = None
            for track in tracks:
                track.stop()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await peer.close()

    async def _negotiate(self, client: WhipClient, peer: RTCPeerConnection) -> None:
        await peer.setLocalDescription(await peer.createOffer())
        answer = await client.publish(peer.localDescription.sdp)
        self._ice_servers = client.ice_servers
        try:
            await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        except Exception as error:  # aiortc raises many kinds of exception on an unexpected answer
            raise SessionError(f"its answer cannot be used: {shown(str(error))}") from error


async def _first(wanted: asyncio.Event, other: asyncio.Event, seconds: float | None = None) -> bool:
    """Return whether `wanted` is set before `other` and within the timeout."""
    tasks = [asyncio.ensure_future(event.wait()) for event in (wanted, other)]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return wanted.is_set()
    finally:
        for task in tasks:
            task.cancel()
