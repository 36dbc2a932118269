"""A conversation on this machine: sound from a device or a file, pictures and the delayed sound to devices.

The same parts as behind WebRTC (`Conversation`, `Playout`, the schedules, the inference worker) between local ends, on
one monotonic clock. Whatever fails, pictures and sound go on: a late picture is replaced by the last, a face that
stands still for long by the portrait, a microphone that is gone by silence until it is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Protocol

from streamer.clock import Clock
from streamer.config import FPS, PLAIN_FACE, FaceOptions, PipelineOptions
from streamer.conversation import Conversation
from streamer.errors import DeviceError, SessionError
from streamer.frames import AudioChunk, ByteArray
from streamer.local_media import PictureSink, SoundSink, SoundSource
from streamer.playout import AUDIO_PTIME_MS, FrameSchedule, Playout, PlayoutStats, Schedule, session_delay_ms
from streamer.tasks import until_first
from streamer.timeline import MARGIN_MS
from streamer.worker import Listener, WorkerState

RETRY_S = 1.0  # between two looks at whether a device, or the worker, is back
STUCK_FRAMES = FPS  # pictures without a new one; then the portrait is better than a frozen face
SOUND_BURST = 10  # packets that are caught up with after a stall, as over WebRTC
SOUND_SLACK_MS = 2 * AUDIO_PTIME_MS  # from sound's being settled to its being asked for at the earliest
LATE_S = AUDIO_PTIME_MS / 1000  # a tick this late: the program was held up
TURNS = 3  # of the event loop, in which a source that has something to say says it
STRETCH = 1 << 40  # samples between the counts of two openings of a source, more than one ever gives

Note = Callable[[str], None]


class Worker(Protocol):
    """What a local session needs of `worker.InferenceWorker`."""

    state: WorkerState

    def open(self, avatar: str, options: PipelineOptions, listener: Listener) -> int:
        """Prepare a session."""

    def begin(self, session: int, generation: int, frame: int, origin: float) -> None:
        """Sound of a new generation follows."""

    def push(self, session: int, generation: int, chunk: AudioChunk) -> None:
        """Hand over sound."""

    def cut(self, session: int, generation: int, frame: int, resume: int) -> None:
        """What was handed over is not heard from `frame` on."""

    def close(self, session: int) -> None:
        """The session wants nothing more."""


@dataclass(frozen=True, eq=False)
class LocalOptions:
    """Who speaks, and how. `still` (uint8 [H, W, 3]) shows where there is no picture."""

    avatar: str
    still: ByteArray
    lookahead_ms: int  # what the pipeline will really use
    seed: int = 0
    face: FaceOptions = PLAIN_FACE


class LocalSession:
    """One face on this machine. `note` is told, in one line each, of what goes wrong and of its being mended."""

    def __init__(
        self,
        options: LocalOptions,
        worker: Worker,
        clock: Clock,
        pictures: PictureSink,
        sound: SoundSink | None = None,
        note: Note = print,
    ) -> None:
        self._options = options
        self._worker = worker
        self._clock = clock
        self._pictures = pictures
        self._sound = sound
        self._note = note
        self._playout = Playout(session_delay_ms(options.lookahead_ms), options.still)
        self._start = clock.now()
        self._number: int | None = None  # of the worker's session
        self._conversation: Conversation | None = None
        self._heard = 0  # blocks
        self._troubles: dict[str, str] = {}  # of each part that fails: what was told last

    @property
    def delay_ms(self) -> int:
        """From a sample's arrival to its leaving with its picture."""
        return self._playout.delay_ms

    @property
    def stats(self) -> PlayoutStats:
        """What was shown, repeated and missing so far."""
        return self._playout.stats

    async def run(self, source: SoundSource) -> None:
        """Until the source has ended and its last sound has been played.

        Raises:
            MediaError: the source is a file that cannot be decoded.
        """
        self._start = self._clock.now()
        self._open()
        self._conversation = Conversation(self, self._playout, self._start)
        try:
            await until_first(self._listen(source), self._play(), self._show(), self._keep_face())
        finally:
            if self._number is not None:
                self._worker.close(self._number)

    def begin(self, generation: int, frame: int, origin: float) -> None:
        """From the conversation: sound of a new generation follows."""
        if self._number is not None:
            self._worker.begin(self._number, generation, frame, origin)

    def push(self, generation: int, chunk: AudioChunk) -> None:
        """From the conversation: sound for the face."""
        if self._number is not None:
            self._worker.push(self._number, generation, chunk)

    def cut(self, generation: int, frame: int, resume: int) -> None:
        """From the conversation: what was handed over is not heard from `frame` on."""
        if self._number is not None:
            self._worker.cut(self._number, generation, frame, resume)

    def on_picture(self, generation: int, index: int, rgb: ByteArray) -> None:
        """From the worker: a picture is ready."""
        if self._conversation is not None:
            self._conversation.take_picture(generation, index, rgb)

    def on_worker_failure(self, reason: str) -> None:
        """From the worker: no more pictures until it is back; the portrait shows meanwhile."""
        self._number = None
        self._trouble("face", f"the face stands still: {reason}")

    async def _listen(self, source: SoundSource) -> None:
        """Hear the source until it ends and all of it has been played; open it again when its device is gone."""
        opened = 0
        while True:
            try:
                async for block in source.blocks():
                    self._mended("source", f"{source.name} is back")
                    self._heard += 1
                    if self._conversation is not None:
                        self._conversation.hear(opened * STRETCH + block.pts, block.samples, self._now())
                break
            except DeviceError as error:
                self._trouble("source", f"{error}; the face goes on without sound until it is back")
                await self._sleep(self._now() + RETRY_S)
                opened += 1
        await self._sleep(self._now() + self.delay_ms / 1000)

    async def _play(self) -> None:
        """The sound's tick is the session's heartbeat: time passes here even if the source is silent."""
        lead_ms = 0
        if self._sound is not None:
            longest = self.delay_ms - MARGIN_MS - SOUND_SLACK_MS
            lead_ms = max(0, min(round(1000 * self._sound.lead_s), longest))
        schedule = Schedule(Fraction(AUDIO_PTIME_MS, 1000), Fraction(-lead_ms, 1000), SOUND_BURST)
        while True:
            block = schedule.next_tick(self._now())
            await self._sleep(schedule.due(block))
            if self._now() - schedule.due(block) > LATE_S:
                await self._hear_what_came()
            if self._conversation is not None:
                self._conversation.tick(self._now())
            samples = self._playout.pull_audio(block)
            if self._sound is not None:
                self._guarded("sound", partial(self._sound.play, block, samples))

    async def _hear_what_came(self) -> None:
        """The program was held up, and so was the hearing: what came meanwhile is not late, as tick would have it."""
        heard = -1
        while heard != self._heard:
            heard = self._heard
            for _ in range(TURNS):
                await asyncio.sleep(0)

    async def _show(self) -> None:
        schedule, stuck = FrameSchedule(self.delay_ms), 0
        while True:
            tick = schedule.next_tick(self._now())
            await self._sleep(schedule.due(tick))
            frame, repeated = schedule.frame_of(tick), self.stats.repeated
            rgb = self._playout.pull_frame(frame)
            stuck = stuck + 1 if self.stats.repeated > repeated else 0
            if stuck >= STUCK_FRAMES:
                rgb = self._options.still
            self._guarded("pictures", partial(self._pictures.show, frame, rgb))

    async def _keep_face(self) -> None:
        """Open the worker's session again once the worker has come back."""
        while True:
            await self._sleep(self._now() + RETRY_S)
            if self._number is None and self._worker.state is WorkerState.READY:
                self._open()
                if self._number is not None and self._conversation is not None:
                    self._conversation.begin_again()
                    self._mended("face", "the face moves again")

    def _open(self) -> None:
        pipeline = PipelineOptions(self._options.lookahead_ms, self._options.seed, self._options.face)
        try:
            self._number = self._worker.open(self._options.avatar, pipeline, self)
        except SessionError as error:
            self.on_worker_failure(str(error))

    def _guarded(self, part: str, use: Callable[[], None]) -> None:
        """Use a device; that it fails is told once, and that it works again."""
        try:
            use()
        except DeviceError as error:
            self._trouble(part, f"{error}; trying it again")
        else:
            self._mended(part, f"{part}: the device is back")

    def _trouble(self, part: str, text: str) -> None:
        if self._troubles.get(part) != text:
            self._troubles[part] = text
            self._note(text)

    def _mended(self, part: str, text: str) -> None:
        if self._troubles.pop(part, None) is not None:
            self._note(text)

    def _now(self) -> float:
        """Seconds since the session's start."""
        return self._clock.now() - self._start

    def _sleep(self, moment: float) -> Coroutine[None, None, None]:
        """Until so many seconds after the session's start."""
        return self._clock.sleep_until(self._start + moment)
