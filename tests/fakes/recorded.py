"""A recorded conversation in simulated time: as fast as its pictures are made, and none of them is too late."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from engines.manifest import Manifest
from engines.runtime import Engines
from streamer.audio.format import AUDIO_BLOCK, Samples
from streamer.avatar.bundle import Avatar
from streamer.core.frames import AudioChunk, ByteArray
from streamer.core.options import PLAIN_FACE, FaceOptions, PipelineOptions
from streamer.core.rungs import Rung
from streamer.inference.messages import Begin, Close, Cut, Open, Postpone, Sound
from streamer.inference.scheduler import Inference
from streamer.inference.worker import InferenceWorker
from streamer.inference.worker_session import WorkerSession
from streamer.pipeline import CoefficientStream, FaceRenderer
from streamer.recording.performance import About, Performance
from streamer.recording.recorder import Recorder
from streamer.render.from_performance import face_of, windows
from streamer.session.conversation import Conversation, FaceWorker
from streamer.session.playout import Playout, session_delay_ms
from streamer.session.speech.speech_format import Pcm
from streamer.session.speech.speech_queue import PushedSpeech
from streamer.stages.life.steering import Shown, Steered
from tests.fakes.sound import speech_like

NEVER_LATE_S = 10_000.0
BLOCK_S = 0.02
PATIENCE_S = 0.2  # a picture that is not made anew after a cut never comes

OnPicture = Callable[[int, int, ByteArray], None]


class Maker(FaceWorker, Protocol):
    """Makes the pictures of one conversation."""

    def open(self, options: PipelineOptions, recorder: Recorder, on_picture: OnPicture) -> None:
        """Begin; a second time: after the process was started again."""

    async def settle(self, generation: int, frame: int) -> None:
        """Wait until this picture has come, or will not."""


class InProcess:
    """The worker's work without its process."""

    def __init__(self, engines: Engines, avatar: Avatar) -> None:
        renderers = {avatar.name: FaceRenderer(engines, avatar)}
        self._inference = Inference(lambda _, options: CoefficientStream(engines, avatar, options), renderers)
        self._avatar = avatar.name

    def open(self, options: PipelineOptions, recorder: Recorder, on_picture: OnPicture) -> None:
        self._recorder, self._on_picture = recorder, on_picture
        self._handle(Open(0, self._avatar, options, performed=True))

    def begin(self, generation: int, frame: int, origin: float) -> None:
        self._handle(Begin(0, generation, frame, origin))

    def push(self, generation: int, chunk: AudioChunk) -> None:
        self._handle(Sound(0, generation, chunk))

    def cut(self, generation: int, frame: int, resume: int) -> None:
        self._handle(Cut(0, generation, frame, resume))

    def steer(self, wanted: Steered | Shown) -> None:
        pass

    def postpone(self, origin: float) -> None:
        self._handle(Postpone(0, origin))

    def _handle(self, message: Open | Begin | Sound | Cut | Postpone | Close) -> None:
        assert self._inference.handle(message) is None
        for performance in self._inference.performances():
            self._recorder.on_performance(performance)

    async def settle(self, generation: int, frame: int) -> None:
        while (made := self._inference.step()) is not None:
            self._on_picture(made.generation, made.frame.index, made.frame.rgb)


class OtherProcess:
    """The real worker."""

    def __init__(self, worker: InferenceWorker, avatar: str) -> None:
        self._worker, self._avatar = worker, avatar
        self._session: WorkerSession | None = None
        self._last = (-1, -1)
        self._came = asyncio.Event()

    def open(self, options: PipelineOptions, recorder: Recorder, on_picture: OnPicture) -> None:
        if self._session is not None:
            self._session.close()
        self._on_picture = on_picture
        self._session = self._worker.open(self._avatar, options, self, recorder)

    def begin(self, generation: int, frame: int, origin: float) -> None:
        assert self._session is not None
        self._session.begin(generation, frame, origin)

    def push(self, generation: int, chunk: AudioChunk) -> None:
        assert self._session is not None
        self._session.push(generation, chunk)

    def cut(self, generation: int, frame: int, resume: int) -> None:
        assert self._session is not None
        self._session.cut(generation, frame, resume)

    def steer(self, wanted: Steered | Shown) -> None:
        pass

    def postpone(self, origin: float) -> None:
        assert self._session is not None
        self._session.postpone(origin)

    def on_picture(self, generation: int, index: int, rgb: ByteArray) -> None:
        self._last = (generation, index)
        self._came.set()
        self._on_picture(generation, index, rgb)

    def on_rung(self, rung: Rung) -> None:
        pass

    def on_worker_failure(self, reason: str) -> None:
        assert reason == "the server is stopping"

    async def settle(self, generation: int, frame: int) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while self._last < (generation, frame):
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            pass


class Scene:
    """A conversation, recorded into `target`. `shown`: each new picture by its frame; `heard`: the sound from 0 on."""

    def __init__(self, maker: Maker, manifest: Manifest, avatar: str, target: Path, face: FaceOptions = PLAIN_FACE):
        self.notes: list[str] = []
        self.shown: dict[int, ByteArray] = {}
        self.heard: list[Samples] = []
        dial = manifest.lookahead_ms
        self.recorder = Recorder(lambda: target, About.of(manifest, avatar, dial, face), self.notes.append)
        self.playout = Playout(
            session_delay_ms(dial), np.zeros((manifest.size, manifest.size, 3), np.uint8), self.recorder
        )
        self.speech = PushedSpeech()
        self._maker = maker
        self._options = PipelineOptions(dial, face=face)
        self._voice = np.repeat((30_000 * speech_like(30.0)).astype(np.int16), 3)[:, None].repeat(2, axis=1)
        self._block = self._utterances = 0
        self._generation = -1
        self._conversation = Conversation(self, self.playout, self.speech)
        maker.open(self._options, self.recorder, self._take)
        self._conversation.begin(time.monotonic() + NEVER_LATE_S)

    def begin(self, generation: int, frame: int, origin: float) -> None:
        self._generation = generation
        self._maker.begin(generation, frame, origin)

    def push(self, generation: int, chunk: AudioChunk) -> None:
        self._maker.push(generation, chunk)

    def cut(self, generation: int, frame: int, resume: int) -> None:
        self._generation = generation
        self._maker.cut(generation, frame, resume)

    def steer(self, wanted: Steered | Shown) -> None:
        pass

    def postpone(self, origin: float) -> None:
        self._maker.postpone(origin)

    def say(self, seconds: float) -> None:
        """Push speech."""
        self._utterances += 1
        self.speech.begin(self._utterances, Pcm(48_000, 2))
        self.speech.push(self._voice[: round(seconds * 48_000)].tobytes())
        self.speech.end()

    def interrupt(self) -> None:
        """What is being said is cut off."""
        self._conversation.interrupt()

    def begin_again(self) -> None:
        """As when the worker had to be started again."""
        self._maker.open(self._options, self.recorder, self._take)
        self._conversation.begin_again(self)

    async def live(self, seconds: float, microphone: bool = True) -> None:
        """Let time pass; there is a voice at the microphone, if there is one."""
        for _ in range(round(seconds / BLOCK_S)):
            now, start = self._block * BLOCK_S, self._block * AUDIO_BLOCK
            if microphone:
                self._conversation.hear(start, self._voice[start : start + AUDIO_BLOCK], now)
            self._conversation.tick(now)
            samples = self.playout.pull_audio(self._block)
            if self.playout.position > 0:
                self.heard.append(samples)
            self.speech.progress(self.playout.position)
            if self._block % 2 == 0:
                await self._show((self._block * 20 - self.playout.delay_ms) // 40)
            self._block += 1

    async def _show(self, frame: int) -> None:
        await self._maker.settle(self._generation, frame)
        late = self.playout.stats.repeated
        picture = self.playout.pull_frame(frame)
        if frame >= 0 and self.playout.stats.repeated == late:
            self.shown[frame] = picture

    def _take(self, generation: int, index: int, rgb: ByteArray) -> None:
        if self._conversation is not None:
            self._conversation.take_picture(generation, index, rgb)


def replayed(
    engines: Engines, avatar: Avatar, performance: Performance, face: FaceOptions = PLAIN_FACE
) -> dict[int, ByteArray]:
    """The pictures of a performance on this avatar, by frame."""
    renderer, found = FaceRenderer(engines, avatar, face), {}
    for window in windows(engines.manifest, avatar, performance, face_of(performance, face)):
        found[window.index] = renderer.render([window])[0].rgb
    return found
