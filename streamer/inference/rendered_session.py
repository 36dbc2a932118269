"""One session in the inference process, and what it is made of."""

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

REMAKE_FRAMES = 10  # between two cuts after which pictures are made anew: who cuts all the time gets no more work done
KEPT_WINDOWS = 16  # of pictures already made: more than are ever made ahead of their moment
MAX_HOLE_S = 2  # more silence than this between two chunks of sound is a mistake of the sender


class Stream(Protocol):
    """A session's way from sound to coefficients: `pipeline.CoefficientStream`; `rest` is the expression of silence."""

    rest: FloatArray

    def push(self, samples: FloatArray) -> list[CoefficientWindow]:
        """Take sound, return the windows that became ready."""

    def made(self) -> FloatArray:
        """The coefficients that the last push made: float32 [n, E + P]."""

    def reset(self) -> None:
        """Forget everything: the next sample is sample 0."""

    def ease(self, window: CoefficientWindow, shut: Shut) -> CoefficientWindow:
        """The window with its mouth as far shut as `shut` asks."""

    def ask(self, wanted: Steered) -> None:
        """Do what somebody asks for, from the next frame on."""

    def steer(self, window: CoefficientWindow) -> CoefficientWindow:
        """The window with what was asked for in it."""


class Renderer(Protocol):
    """An avatar's way from coefficients to pictures: `pipeline.FaceRenderer`."""

    def render(self, windows: list[CoefficientWindow], paint: Paint = Paint.ANEW) -> list[AvatarFrame]:
        """One frame for each window; mouth and eyes may be those of the last."""

    def showing(self, face: FaceOptions, smallest: bool = False) -> Self:
        """The same with its pictures of the size and on the background that the options name.

        smallest: a size that nobody asked for is the smallest there is.
        """


@dataclass
class RenderedSession:
    """A session: its sound up to `position`, and the windows whose pictures are to be made."""

    face: FaceOptions
    stream: Stream
    renderer: Renderer
    generation: int = -1  # no sound is taken before the first Begin
    first_frame: int = 0  # of this generation
    origin: float = 0.0
    position: int = 0  # of the next sample
    due: deque[CoefficientWindow] = field(default_factory=deque)
    made: deque[CoefficientWindow] = field(default_factory=lambda: deque(maxlen=KEPT_WINDOWS))
    shut: Shut | None = None  # since the last Cut
    remade: int = -REMAKE_FRAMES  # frame of the last Cut after which pictures were made anew
    served: int = 0  # number of the last picture made for it
    performed: bool = False  # whether the server wants its coefficients
    known: int = 0  # frame of the next coefficients
    bare: bool = False  # its coefficients take the place of its pictures
    unpainted: int = 0  # pictures since the last whose mouth and eyes were painted

    def deadline(self) -> float:
        """The moment of the next picture."""
        return self.origin + self.due[0].index / FPS

    @property
    def starved(self) -> bool:
        """Whether the last picture was made so long ago that the next has to be, come what may."""
        last = self.made[-1].index if self.made else self.first_frame
        return bool(self.due) and self.due[-1].index - last > STARVED_FRAMES

    def begin(self, message: Begin) -> None:
        """Forget what was, and take sound of another generation from now on."""
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
        """What the stream takes next: the chunk, less what it has already, after silence for what is missing.

        Raises:
            SessionError: there is more missing than MAX_HOLE_S.
        """
        hole = chunk.position - self.position
        if hole > MAX_HOLE_S * SAMPLES_PER_FRAME * FPS:
            raise SessionError(f"sound at sample {chunk.position}, expected {self.position}")
        self.position = max(self.position, chunk.position + chunk.samples.size)
        if hole <= 0:
            return chunk.samples[-hole:]
        return np.concatenate([np.zeros(hole, np.float32), chunk.samples])

    def make_anew(self, frame: int) -> None:
        """Let the pictures that were made from `frame` on be due again, unless that was done a moment ago."""
        if frame - self.remade < REMAKE_FRAMES:
            return
        self.remade = frame
        while self.made and self.made[-1].index >= frame:
            self.due.appendleft(self.made.pop())
