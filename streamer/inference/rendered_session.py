"""One session in the inference process, and the stream and renderer interfaces that it uses."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Protocol, Self

import numpy as np

from streamer.core.errors import SessionError
from streamer.core.frames import AudioChunk, AvatarFrame, CoefficientWindow, FloatArray, Paint
from streamer.core.options import FaceOptions
from streamer.core.rates import FPS, SAMPLES_PER_FRAME, STARVED_FRAMES
from streamer.inference.messages import Begin
from streamer.stages.life.steering import Steered
from streamer.stages.mouth_easing import Shut

REMAKE_FRAMES = 10  # at least, between two cuts that re-render pictures: limits the work that frequent cuts can cause
KEPT_WINDOWS = 16  # windows of rendered pictures kept: more than are ever rendered ahead of their deadline
MAX_HOLE_S = 2  # a longer gap between two chunks of sound is an error of the sender


class Stream(Protocol):
    """Turns a session's sound into coefficients (`pipeline.CoefficientStream`); `rest` is the expression in silence."""

    rest: FloatArray

    def push(self, samples: FloatArray) -> list[CoefficientWindow]:
        """Feed samples; return the windows that became ready."""

    def made(self) -> FloatArray:
        """Return the coefficients that the last push made: float32 [n, E + P]."""

    def reset(self) -> None:
        """Forget everything: the next sample is sample 0."""

    def ease(self, window: CoefficientWindow, shut: Shut) -> CoefficientWindow:
        """Return the window with its mouth closed as far as `shut` asks."""

    def ask(self, wanted: Steered) -> None:
        """Apply a request from the next frame on."""

    def steer(self, window: CoefficientWindow) -> CoefficientWindow:
        """Return the window with the current requests applied."""


class Renderer(Protocol):
    """Turns an avatar's coefficients into pictures (`pipeline.FaceRenderer`)."""

    def render(self, windows: list[CoefficientWindow], paint: Paint = Paint.ANEW) -> list[AvatarFrame]:
        """Return one frame per window; `paint` may allow reusing the mouth and eyes of the last one."""

    def showing(self, face: FaceOptions, smallest: bool = False) -> Self:
        """Return this renderer with the picture size and background that the options name.

        smallest: use the smallest size where the options name none.
        """


@dataclass
class RenderedSession:
    """A session: its sound up to `position`, and the windows still to be rendered."""

    face: FaceOptions
    stream: Stream
    renderer: Renderer
    generation: int = -1  # no sound is accepted before the first Begin
    first_frame: int = 0  # first frame of this generation
    origin: float = 0.0
    position: int = 0  # position of the next sample
    due: deque[CoefficientWindow] = field(default_factory=deque)
    made: deque[CoefficientWindow] = field(default_factory=lambda: deque(maxlen=KEPT_WINDOWS))
    shut: Shut | None = None  # set by the last Cut
    remade: int = -REMAKE_FRAMES  # frame of the last Cut that re-rendered pictures
    served: int = 0  # value of the global picture counter when this session was last served
    performed: bool = False  # whether its coefficients are sent to the server
    known: int = 0  # frame index of the next coefficients to send
    bare: bool = False  # sends coefficients in place of pictures
    unpainted: int = 0  # pictures since mouth and eyes were last painted

    def deadline(self) -> float:
        """Return the time at which the next picture is due."""
        return self.origin + self.due[0].index / FPS

    @property
    def starved(self) -> bool:
        """Whether the last picture is so old that the next one must be rendered, however late it is."""
        last = self.made[-1].index if self.made else self.first_frame
        return bool(self.due) and self.due[-1].index - last > STARVED_FRAMES

    def begin(self, message: Begin) -> None:
        """Reset all state and accept the sound of a new generation from now on."""
        self.stream.reset()
        self.due.clear()
        self.made.clear()
        self.shut = None
        self.generation = message.generation
        self.origin = message.origin
        self.first_frame = message.frame
        self.position = message.frame * SAMPLES_PER_FRAME
        self.known = message.frame

    def continued(self, chunk: AudioChunk) -> FloatArray:
        """Return the samples to feed next: the part of the chunk not fed before, after silence for any gap.

        Raises:
            SessionError: the gap is longer than MAX_HOLE_S.
        """
        hole = chunk.position - self.position
        if hole > MAX_HOLE_S * SAMPLES_PER_FRAME * FPS:
            raise SessionError(f"sound at sample {chunk.position}, expected {self.position}")
        self.position = max(self.position, chunk.position + chunk.samples.size)
        if hole <= 0:
            return chunk.samples[-hole:]
        return np.concatenate([np.zeros(hole, np.float32), chunk.samples])

    def make_anew(self, frame: int) -> None:
        """Queue the pictures from `frame` on again, unless that was done within the last REMAKE_FRAMES frames."""
        if frame - self.remade < REMAKE_FRAMES:
            return
        self.remade = frame
        while self.made and self.made[-1].index >= frame:
            self.due.appendleft(self.made.pop())
