"""The worker's scheduler on a device with a simulated clock: streams that echo, pictures that take their time."""

from dataclasses import replace
from typing import Self

import numpy as np

from streamer.core.frames import AudioChunk, AvatarFrame, CoefficientWindow, FloatArray, Paint
from streamer.core.options import FaceOptions, PipelineOptions
from streamer.core.rates import SAMPLES_PER_FRAME
from streamer.inference.messages import Begin, Open, Sound
from streamer.inference.scheduler import Inference
from streamer.stages.life.steering import Steered
from streamer.stages.mouth_easing import Shut


class EchoStream:
    """A window for every whole frame of sound, without look-ahead."""

    def __init__(self) -> None:
        self.rest = np.zeros(1, np.float32)
        self.asked: list[Steered] = []
        self._made = np.zeros((0, 1), np.float32)
        self._samples = 0
        self._next = 0

    def made(self) -> FloatArray:
        return self._made

    def push(self, samples: FloatArray) -> list[CoefficientWindow]:
        self._samples += samples.size
        ready = range(self._next, self._samples // SAMPLES_PER_FRAME)
        self._next = max(self._next, ready.stop)
        self._made = np.array([[index] for index in ready], np.float32).reshape(-1, 1)
        return [CoefficientWindow(index, np.ones((1, 1), np.float32)) for index in ready]

    def ease(self, window: CoefficientWindow, shut: Shut) -> CoefficientWindow:
        return replace(window, values=np.float32(shut.freedom(window.index)) * window.values)

    def ask(self, wanted: Steered) -> None:
        self.asked.append(wanted)

    def steer(self, window: CoefficientWindow) -> CoefficientWindow:
        return window

    def reset(self) -> None:
        self._samples = 0
        self._next = 0


class SlowRenderer:
    """Takes `seconds` of the simulated clock for a picture; as the starter family, less for one that is not painted, or
    small."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.now = 0.0
        self.opened: list[float] = []
        self.smallest = False
        self.painted: list[Paint] = []

    def render(self, windows: list[CoefficientWindow], paint: Paint = Paint.ANEW) -> list[AvatarFrame]:
        self.now += self.seconds * (0.4 if paint is Paint.KEPT else 1.0) * (0.8 if self.smallest else 1.0)
        painted = paint is not Paint.KEPT
        self.painted.append(paint)
        self.opened += [float(window.values[0, 0]) for window in windows]
        return [AvatarFrame(window.index, np.zeros((1, 1, 3), np.uint8), 0, painted) for window in windows]

    def showing(self, face: FaceOptions, smallest: bool = False) -> Self:
        self.smallest, self.face = smallest, face
        return self


def device(seconds: float) -> tuple[Inference, SlowRenderer]:
    renderer = SlowRenderer(seconds)
    return Inference(lambda *_: EchoStream(), {"dot": renderer}, clock=lambda: renderer.now), renderer


def begin(inference: Inference, session: int, origin: float, generation: int = 0) -> None:
    inference.handle(Open(session, "dot", PipelineOptions()))
    inference.handle(Begin(session, generation, 0, origin))


def speak(inference: Inference, session: int, frame: int, count: int = 1, generation: int = 0) -> None:
    samples = np.zeros(count * SAMPLES_PER_FRAME, np.float32)
    inference.handle(Sound(session, generation, AudioChunk(frame * SAMPLES_PER_FRAME, samples)))


def made(inference: Inference) -> list[tuple[int, int]]:
    """(session, frame) of all pictures that can be made now."""
    result = []
    while inference.busy:
        if (rendered := inference.step()) is not None:
            result.append((rendered.session, rendered.frame.index))
    return result
