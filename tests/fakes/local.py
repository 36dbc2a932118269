"""What a local session is connected to in tests: a face whose pictures tell what it heard, and ends that note all."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np

from streamer.audio.format import AUDIO_BLOCK, Samples
from streamer.core.aio import Clock
from streamer.core.errors import DeviceError, SessionError
from streamer.core.frames import AudioChunk, ByteArray, FloatArray
from streamer.core.options import PipelineOptions
from streamer.core.rates import SAMPLES_PER_FRAME
from streamer.devices.virtual_camera import VirtualCamera
from streamer.inference.worker import WorkerState
from streamer.inference.worker_session import Listener, PerformanceListener
from streamer.session.ends import Block
from streamer.stages.life.steering import Shown, Steered

STILL = np.full((4, 4, 3), 255, np.uint8)
LOUDEST = 0.5


class LevelWorker:
    """A worker whose picture of a frame is grey by how loud the frame's sound is: 0 .. 200 for 0 .. LOUDEST."""

    def __init__(self) -> None:
        self.state = WorkerState.READY
        self.hangs = False
        self.opened: list[PipelineOptions] = []
        self.closed: list[int] = []
        self.postponed: list[float] = []
        self._listener: Listener | None = None

    def open(
        self, avatar: str, options: PipelineOptions, listener: Listener, recorder: PerformanceListener | None = None
    ) -> LevelFace:
        if self.state is not WorkerState.READY:
            raise SessionError("the engines are not ready")
        self.opened.append(options)
        self._listener = listener
        return LevelFace(self, len(self.opened))

    def show(self, generation: int, frame: int, grey: int) -> None:
        if self._listener is not None and not self.hangs:
            self._listener.on_picture(generation, frame, np.full((4, 4, 3), grey, np.uint8))

    def die(self, reason: str) -> None:
        self.state = WorkerState.STARTING
        if self._listener is not None:
            self._listener.on_worker_failure(reason)


class LevelFace:
    """One session of a `LevelWorker`."""

    def __init__(self, worker: LevelWorker, number: int) -> None:
        self._worker, self._number = worker, number
        self._generation = -1
        self._frame = 0
        self._resume = 0  # pictures before this one have the mouth shut
        self._heard: FloatArray = np.zeros(0, np.float32)

    def begin(self, generation: int, frame: int, origin: float) -> None:
        self._generation, self._frame = generation, frame
        self._heard = np.zeros(0, np.float32)

    def push(self, generation: int, chunk: AudioChunk) -> None:
        assert (self._number, generation) == (len(self._worker.opened), self._generation)
        assert chunk.position == self._frame * SAMPLES_PER_FRAME + self._heard.size
        self._heard = np.concatenate([self._heard, chunk.samples])
        while self._heard.size >= SAMPLES_PER_FRAME:
            level = float(np.median(np.abs(self._heard[:SAMPLES_PER_FRAME])))
            self._heard = self._heard[SAMPLES_PER_FRAME:]
            self._paint(self._frame, round(200 * level / LOUDEST))
            self._frame += 1

    def cut(self, generation: int, frame: int, resume: int) -> None:
        assert (self._number, generation) == (len(self._worker.opened), self._generation + 1)
        self._generation, self._resume = generation, resume
        for again in range(frame, self._frame):
            self._paint(again, 0)

    def steer(self, wanted: Steered | Shown) -> None:
        pass

    def postpone(self, origin: float) -> None:
        self._worker.postponed.append(origin)

    def close(self) -> None:
        self._worker.closed.append(self._number)

    def _paint(self, frame: int, grey: int) -> None:
        self._worker.show(self._generation, frame, grey if frame >= self._resume else 0)


class Screen:
    """Notes each picture: moment, frame, grey. `gone` makes it fail."""

    def __init__(self, clock: Clock) -> None:
        self.shown: list[tuple[float, int, int]] = []
        self.gone = False
        self._clock = clock

    def show(self, frame: int, rgb: ByteArray) -> None:
        if self.gone:
            raise DeviceError("the screen is gone")
        self.shown.append((self._clock.now(), frame, int(rgb[0, 0, 0])))

    def grey(self, frame: int) -> int:
        return next(grey for _, number, grey in self.shown if number == frame)


class Ear:
    """Notes each packet of sound: moment, block, samples."""

    def __init__(self, clock: Clock, lead_s: float = 0.0) -> None:
        self.heard: list[tuple[float, int, Samples]] = []
        self.lead_s = lead_s
        self._clock = clock

    def play(self, block: int, samples: Samples) -> None:
        self.heard.append((self._clock.now(), block, samples))

    def sound(self) -> Samples:
        """Everything, each packet in its place; what never came is 0."""
        whole = np.zeros((self.heard[-1][1] + 1, AUDIO_BLOCK, 2), np.int16)
        for _, block, samples in self.heard:
            whole[block] = samples
        return whole.reshape(-1, 2)


class Script:
    """A source that gives these samples at the pace of a microphone; a None among them is the device's going away."""

    def __init__(self, clock: Clock, parts: list[Samples | None]) -> None:
        self.name = "script"
        self.openings = 0
        self._clock = clock
        self._parts = parts

    async def blocks(self) -> AsyncIterator[Block]:
        self.openings += 1
        start, count = self._clock.now(), 0
        while self._parts:
            part = self._parts.pop(0)
            if part is None:
                raise DeviceError("script is gone")
            for block in part.reshape(-1, AUDIO_BLOCK, 2):
                await self._clock.sleep_until(start + (count + AUDIO_BLOCK) / 48_000)
                yield Block(count, block)
                count += AUDIO_BLOCK


def steps(levels: list[float]) -> Samples:
    """Sound that holds each level for one frame of picture (40 ms), as a constant: int16 [n, 2]."""
    values = np.repeat((np.array(levels) * 32768).astype(np.int16), 2 * AUDIO_BLOCK)
    return np.repeat(values[:, None], 2, axis=1)


class Numbered:
    """The camera, with a note of the frames it was given."""

    def __init__(self, camera: VirtualCamera) -> None:
        self.frames: list[int] = []
        self._camera = camera

    def show(self, frame: int, rgb: ByteArray) -> None:
        self.frames.append(frame)
        self._camera.show(frame, rgb)
