"""The session of one peer: offer and answer, microphone in, avatar out, shutdown.

Its states are in `peer_state`. The session gets its worker and its callbacks as arguments; nothing here depends on
HTTP.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection

from streamer.audio.format import Samples
from streamer.core.aio import Clock, Tasks, until_first
from streamer.core.errors import SessionError
from streamer.core.frames import ByteArray
from streamer.core.limits import Limits, SpeechLimits
from streamer.core.rungs import FULL, Rung
from streamer.inference.worker import InferenceWorker
from streamer.server import negotiation
from streamer.server.admission.patience import moments_of_end, until_connected, until_over
from streamer.server.metrics import SessionCounts
from streamer.server.peer_channels import PeerChannels
from streamer.server.peer_state import TRANSITIONS, State
from streamer.server.peer_voice import PeerVoice
from streamer.server.session_options import PeerOptions
from streamer.session.control import Control
from streamer.session.control_protocol import Statistics
from streamer.session.conversation import Conversation
from streamer.session.numbers import Numbers
from streamer.session.pacer import Pacer
from streamer.session.partner import Ear
from streamer.session.playout import GATHER_MS, Playout, session_delay_ms
from streamer.session.speech.speech_line import SpeechLine
from streamer.session.speech.speech_port import SpeechPort
from streamer.webrtc import audio_buffer, private_parts
from streamer.webrtc.codecs import only_opus, prefer_vp8
from streamer.webrtc.offer import OfferError
from streamer.webrtc.peer_guard import PeerGuard
from streamer.webrtc.private_parts import Receiver
from streamer.webrtc.sections import ufrag_of
from streamer.webrtc.shared_media import SharedMedia
from streamer.webrtc.tracks import AvatarAudioTrack, AvatarVideoTrack

logger = logging.getLogger(__name__)


class Session:
    """A conversation with one peer over WebRTC. `on_closed` is called once, when everything has been released.

    Raises:
        SessionError: the worker is not ready.
    """

    def __init__(
        self,
        options: PeerOptions,
        worker: InferenceWorker,
        limits: Limits,
        clock: Clock,
        on_closed: Callable[[Session], None],
    ) -> None:
        self.state = State.NEW
        self.reason = ""  # why it ended
        self.ufrag = ""  # ICE user name fragment of the peer
        self._voice = PeerVoice(self._take_sound if options.microphone else None, clock)
        self._limits = limits
        self._clock = clock
        self._on_closed = on_closed
        self._tasks = Tasks(self._on_failure)
        self._closed = asyncio.Event()
        self._closing: asyncio.Task[None] | None = None  # a reference, so that it is not garbage-collected
        self._reached = asyncio.Event()  # ICE is up
        self._live = asyncio.Event()
        self._opened = self._live_since = clock.now()
        self._spoken = self._opened  # when pushed speech was last queued
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=list(options.ice_servers)))
        self._audio, self._video = AvatarAudioTrack(), AvatarVideoTrack()
        audio = self._peer.addTransceiver(self._audio, "sendrecv")
        only_opus(audio)
        if options.shown:
            prefer_vp8(self._peer.addTransceiver(self._video, "sendonly"))
        self.microphone = audio_buffer.install(audio.receiver)
        receiver = Receiver(audio.receiver)
        self.guard = PeerGuard(clock, self._close_soon, receiver.codec_of, lambda: receiver.backlog)
        self.numbers = None if options.numbers is None else Numbers(options.numbers)
        self._recorder = None if options.record is None else options.record()
        self._playout = Playout(session_delay_ms(options.lookahead_ms, options.pictures), options.still, self._recorder)
        self._pacer = Pacer(self._playout, clock)
        self._face = worker.open(options.avatar, options.pipeline, self, self._recorder)
        self.conversation = Conversation(self._face, self._playout, gather_ms=0 if options.pictures else GATHER_MS)
        self.speech = SpeechPort(SpeechLimits(), self.conversation, clock.now())
        self.line = SpeechLine(self.speech)
        self.shared = SharedMedia(clock)
        self.control = Control(self.conversation, self.line, options.read_look, options.seed, options.lively)
        self._partner = None if options.partner is None else options.partner(self.speech, self.control, clock)
        self._ear = None if self._partner is None else Ear(self._partner)
        self._peer.on("track", self._on_track)
        self._peer.on("datachannel", PeerChannels(self, options.able, clock, self._tasks.spawn).take)
        self._peer.on("iceconnectionstatechange", self._on_ice_state)
        self._peer.on("connectionstatechange", self._on_connection_state)

    @property
    def delay_ms(self) -> int:
        """Current delay from a sample's arrival at the server to its playout with its picture."""
        return self._playout.delay_ms + self._playout.held_ms

    def counts(self) -> SessionCounts:
        """Return the session's counters so far."""
        shown = self._playout.stats
        counts = SessionCounts(shown.shown, shown.repeated, shown.dropped, shown.underrun)
        counts.frames_late = shown.late
        counts.lateness = self._playout.lateness.all
        spoken = self.speech.counts
        counts.speech_clients, counts.speech_utterances = spoken.clients, spoken.utterances
        counts.speech_clears, counts.speech_heard_ms = spoken.clears, spoken.heard_ms
        counts.speech_refused = spoken.refused
        counts.frames_stale = self.conversation.stale_pictures
        counts.frames_unsent, counts.sound_unsent = self._video.dropped, self._audio.dropped
        counts.peer = replace(self.guard.refused)
        counts.packets_lost = self.microphone.order.lost
        counts.packets_late = self.microphone.order.late
        heard = self.conversation.timeline.stats
        counts.packets_late += heard.late
        counts.silence = heard.silence
        counts.clock_shifts = heard.shifts
        return counts

    def statistics(self) -> Statistics:
        """Return the session's statistics for control clients."""
        shown, rung = self._playout.stats, self.conversation.rung
        left_out = None if rung == FULL else rung.told
        waiting_ms = round(1000 * self.speech.pushed.buffered_s)
        return Statistics(shown.shown - shown.repeated, shown.repeated, shown.late, self.delay_ms, left_out, waiting_ms)

    @property
    def lasted_s(self) -> float:
        """The session's age in seconds."""
        return self._clock.now() - self._opened

    async def answer(self, offer: str) -> str:
        """Answer an offer that has passed `check_offer`; return SDP with all candidates in it.

        If this raises, the session is closed.

        Raises:
            OfferError: the offer cannot be answered.
            SessionError: the session ended meanwhile; the message is the reason.
        """
        try:
            self._change(State.CONNECTING)
            self.ufrag = ufrag_of(offer)
            async with asyncio.timeout(self._limits.negotiate_s):
                sdp = await negotiation.answer(self._peer, self.guard, offer, messages=True)
        except TimeoutError:
            await self.close("negotiation took too long")
            raise OfferError(f"no answer to the offer after {self._limits.negotiate_s:.0f} s") from None
        except BaseException as error:  # includes cancellation of the request
            ended = self.reason
            given_up = isinstance(error, asyncio.CancelledError)
            await self.close("the request was given up" if given_up else str(error) or type(error).__name__)
            if ended and isinstance(error, Exception):
                raise SessionError(ended) from error
            raise
        if self.state is not State.CONNECTING:
            await self.ended()
            raise SessionError(self.reason)
        self._tasks.spawn(self._end_in_time())
        return sdp

    async def close(self, reason: str) -> None:
        """End the session and wait until it has ended. Safe to call twice, and to cancel."""
        if self.state not in (State.CLOSING, State.CLOSED):
            self.reason = reason
            self._change(State.CLOSING)
            logger.info("session ends: %s", reason)
            self._closing = asyncio.create_task(self._shut(), name="session-closing")
        await self._closed.wait()

    async def _shut(self) -> None:
        """Release everything: tracks first, then the peer connection, then the worker's session."""
        self._tasks.cancel()
        self._audio.stop()
        self._video.stop()
        try:
            async with asyncio.timeout(self._limits.close_s):
                await private_parts.close(self._peer)
        except TimeoutError:
            logger.warning("the peer connection did not close within %.1f s", self._limits.close_s)
        finally:
            self._face.close()
            if self._recorder is not None:
                self._recorder.finish()
            self._change(State.CLOSED)
            self._closed.set()
            self._on_closed(self)

    def gives_way_at(self) -> float | None:
        """Return the time from which it may be evicted for another caller, or None if it is in use."""
        if self.state in (State.NEW, State.CONNECTING):
            return self._opened + (self._limits.secure_s if self._reached.is_set() else self._limits.reserve_s)
        if self.state is State.LIVE and not self._voice.wanted:
            return self._spoken + (self._limits.unspoken_s if self.speech.is_taken else self._limits.silent_s)
        return None

    async def ended(self) -> None:
        """Wait until the session has ended."""
        await self._closed.wait()

    def on_picture(self, generation: int, index: int, rgb: ByteArray) -> None:
        """Take a finished picture (worker callback)."""
        self.conversation.take_picture(generation, index, rgb)

    def on_rung(self, rung: Rung) -> None:
        """Apply the worker's new degradation level (worker callback)."""
        self.conversation.take_rung(rung)

    def on_worker_failure(self, reason: str) -> None:
        """Close the session, as no more pictures will come (worker callback); the page may call again."""
        self._close_soon(reason)

    async def _pace(self) -> None:
        """Run the session's clock and playout, independent of what the peer sends or receives."""
        self.conversation.begin(self._pacer.begin())
        playing = self._pacer.play(self._tick, self._play, self._played)
        await until_first(playing, self._pacer.show(self._show))

    def _play(self, block: int, samples: Samples) -> None:
        self._audio.play(block, samples)
        self.shared.play(block, samples)
        self.control.hear(samples)

    def _show(self, frame: int, picture: ByteArray) -> None:
        if self.numbers is not None:
            return self.numbers.show(frame, picture, self._playout.following)
        self._video.show(frame, picture)
        return self.shared.show(frame, picture)

    def _played(self, position: int) -> None:
        if self.speech.pushed.waiting:
            self._spoken = self._clock.now()
        self.speech.report(position)

    def _on_track(self, track: MediaStreamTrack) -> None:
        if track.kind == "audio":
            self._tasks.spawn(self._voice.read(track, self._live))

    def _take_sound(self, pts: int, samples: Samples) -> None:
        self._pacer.taken += 1
        if self._ear is not None:
            self._ear.muted = self.conversation.muted
        (self._ear or self.conversation).hear(pts, samples, self._pacer.now())

    def _tick(self, now: float) -> None:
        self.conversation.tick(now)
        if self._ear is not None:
            self._ear.tick(now)

    def _on_ice_state(self) -> None:
        if self._peer.iceConnectionState == "completed":
            self._reached.set()

    async def _on_connection_state(self) -> None:
        match self._peer.connectionState:
            case "connected" if self.state is State.CONNECTING:
                self._change(State.LIVE)
                self._live_since = self._clock.now()
                self._tasks.spawn(self._pace())
                if self._partner is not None:
                    self._tasks.spawn(self._partner.talk())
                self._live.set()
            case "failed":
                await self.close("the connection failed")
            case "closed":
                await self.close("the peer has gone")

    async def _end_in_time(self) -> None:
        """Close the session when it does not connect, its peer is gone or silent, or it has lasted too long."""
        reason = await until_connected(self._reached, self._live, self._limits)
        self._voice.heard_at = self._clock.now()
        await self.close(reason or await until_over(self._moments, self._clock))

    def _moments(self) -> dict[str, float]:
        heard_at = self._voice.heard_at if self._voice.wanted else None
        return moments_of_end(self._limits, self._live_since, self.guard.heard_at, heard_at)

    def _change(self, state: State) -> None:
        if state not in TRANSITIONS[self.state]:
            raise RuntimeError(f"a session cannot go from {self.state.name} to {state.name}")
        logger.debug("session: %s -> %s", self.state.name, state.name)
        self.state = state

    def _close_soon(self, reason: str) -> None:
        self._tasks.spawn(self.close(reason))

    def _on_failure(self, error: BaseException) -> None:
        """Close the session when one of its tasks fails."""
        logger.error("a session cannot go on", exc_info=error)
        self._tasks.spawn(self.close("an error of the server"))
