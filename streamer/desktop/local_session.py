"""Local session: sound comes from a device or file; pictures and the delayed sound go to devices.

It connects the parts that WebRTC sessions use (`Conversation`, `Playout`, the schedules, the inference worker) to local
devices, on one monotonic clock. Pictures and sound continue after every failure (`presenter`): silence replaces a
missing microphone until it is back; if the inference process dies, the face stands still until the next one is warm.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from streamer.core.aio import Clock, until_first
from streamer.core.errors import SessionError
from streamer.core.frames import ByteArray
from streamer.core.limits import SpeechLimits
from streamer.core.options import PipelineOptions
from streamer.core.rungs import FULL, Rung
from streamer.desktop.presenter import Note, Presenter
from streamer.inference.worker import WorkerState
from streamer.inference.worker_session import Listener, PerformanceListener
from streamer.recording.recorder import Recorder
from streamer.session.conversation import Conversation, FaceWorker, NoFace
from streamer.session.ends import PictureSink, SoundSink, SoundSource
from streamer.session.options import SessionOptions
from streamer.session.playout import GATHER_MS, Playout, PlayoutStats, session_delay_ms
from streamer.session.speech.speech_port import SpeechPort

LOOK_S = 1.0  # between checks whether the worker is back


class Face(FaceWorker, Protocol):
    """The part of `WorkerSession` that a local session uses."""

    def close(self) -> None:
        """End the worker session."""


class Worker(Protocol):
    """The part of `worker.InferenceWorker` that a local session uses."""

    state: WorkerState

    def open(
        self, avatar: str, options: PipelineOptions, listener: Listener, recorder: PerformanceListener | None = None
    ) -> Face:
        """Open a worker session."""


class LocalSession:
    """One face on this machine. `note` gets one line for each fault and one for each recovery.

    `speech` accepts speech that a program pushes in place of the source's sound; `reason` says why the session ended.
    A `recorder` records the whole session; its creator closes it.
    """

    def __init__(
        self,
        options: SessionOptions,
        worker: Worker,
        clock: Clock,
        pictures: PictureSink,
        sound: SoundSink | None = None,
        note: Note = print,
        recorder: Recorder | None = None,
    ) -> None:
        self.reason = ""
        self._options = options
        self._worker = worker
        self._recorder = recorder
        self._playout = Playout(session_delay_ms(options.lookahead_ms, options.pictures), options.still, recorder)
        self._presenter = Presenter(self._playout, options.still, clock, pictures, sound, note)
        self._pacer = self._presenter.pacer
        self._face: Face | None = None  # None while the worker is unavailable
        self._conversation = Conversation(NoFace(), self._playout, gather_ms=0 if options.pictures else GATHER_MS)
        self.speech = SpeechPort(SpeechLimits(), self._conversation, clock.now())
        self._ended = asyncio.Event()

    @property
    def seed(self) -> int:
        """The seed of the idle motion."""
        return self._options.seed

    @property
    def delay_ms(self) -> int:
        """Delay from the arrival of a sample until it leaves with its picture."""
        return self._playout.delay_ms

    @property
    def stats(self) -> PlayoutStats:
        """Return the counts of frames shown and repeated, and of missing sound."""
        return self._playout.stats

    async def run(self, source: SoundSource) -> None:
        """Run until the source has ended and its last sound has been played.

        Raises:
            MediaError: the source is a file that cannot be decoded.
        """
        self._conversation.begin(self._pacer.begin())
        self._open()
        playing = self._presenter.play(self._conversation.tick, self.speech.report)
        try:
            await until_first(self._listen(source), playing, self._presenter.show(), self._keep_face())
        finally:
            self.reason = "the program ends"
            self._ended.set()
            if self._face is not None:
                self._face.close()

    async def ended(self) -> None:
        """Wait until `run` ends."""
        await self._ended.wait()

    def on_picture(self, generation: int, index: int, rgb: ByteArray) -> None:
        """Take a picture that the worker has finished."""
        self._conversation.take_picture(generation, index, rgb)

    def on_rung(self, rung: Rung) -> None:
        """Take the worker's new quality rung, and report whether the processor is short of time."""
        self._conversation.take_rung(rung)
        if rung == FULL:
            self._presenter.mended("speed", "there is time for every picture again")
        else:
            self._presenter.trouble("speed", f"the processor is short of time: {rung.told}")

    def on_worker_failure(self, reason: str) -> None:
        """Handle the loss of the worker: there are no pictures until it is back, and the portrait shows."""
        self._face = None
        self._conversation.lose_worker()
        self._presenter.trouble("face", f"the face stands still: {reason}")

    async def _listen(self, source: SoundSource) -> None:
        """Pass the source's sound to the conversation until the source ends and all of it has been played."""
        hear, pacer = self._conversation.hear, self._pacer
        await self._presenter.listen(source, lambda pts, samples: hear(pts, samples, pacer.now()))
        await pacer.sleep_until(pacer.now() + self.delay_ms / 1000)

    async def _keep_face(self) -> None:
        """Open the worker's session again once the worker has come back."""
        while True:
            await self._pacer.sleep_until(self._pacer.now() + LOOK_S)
            if self._face is None and self._worker.state is WorkerState.READY:
                self._open()
                if self._face is not None:
                    self._presenter.mended("face", "the face moves again")

    def _open(self) -> None:
        try:
            self._face = self._worker.open(self._options.avatar, self._options.pipeline, self, self._recorder)
            self._conversation.begin_again(self._face)
        except SessionError as error:
            self.on_worker_failure(str(error))
