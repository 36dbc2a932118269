"""The work of all sessions on one device: sound into coefficients at once, pictures in the order of their deadlines.

Rendering is what costs. The next picture is always the one whose moment comes first, of any session; among equals the
session served least recently. A picture that cannot be there in time any more, at the pace of the last ones, is not
made at all: that is how load is shed without holding up the sound, and no session can take more than its share.
(Skipping only what is late already would, under load, make every picture a moment too late and show none.) No I/O: the
caller passes messages and the clock.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, Self

import numpy as np

from streamer.core.errors import AvatarError, SessionError
from streamer.core.frames import AudioChunk, AvatarFrame, CoefficientWindow, FloatArray
from streamer.core.limits import WorkerLimits
from streamer.core.options import FaceOptions, PipelineOptions
from streamer.core.rates import FPS, SAMPLES_PER_FRAME
from streamer.inference.messages import (
    Begin,
    Close,
    Cut,
    Open,
    Performance,
    Pulse,
    RunBegan,
    RunEased,
    RunWentOn,
    SessionFailed,
    Sound,
)
from streamer.stages.mouth_easing import Shut

PACE_WEIGHT = 0.2  # of the newest picture in the expected time of the next
DELIVERY_S = 0.005  # from a picture's being made to its lying ready in the server's process
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


class Renderer(Protocol):
    """An avatar's way from coefficients to pictures: `pipeline.FaceRenderer`."""

    def render(self, windows: list[CoefficientWindow]) -> list[AvatarFrame]:
        """One frame for each window."""

    def showing(self, face: FaceOptions, crowded: bool = False) -> Self:
        """The same with its pictures of the size and on the background that the options name.

        crowded: other sessions need the processor too: a size that nobody asked for is the smallest.
        """


@dataclass(frozen=True)
class RenderedFrame:
    """A picture of a session's generation."""

    session: int
    generation: int
    frame: AvatarFrame


@dataclass
class _Session:
    avatar: str
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

    def deadline(self) -> float:
        return self.origin + self.due[0].index / FPS


class StageTimes:
    """How often each stage ran, and for how long in all."""

    def __init__(self) -> None:
        self.totals: dict[str, tuple[int, float]] = {}

    def add(self, stage: str, times: int, seconds: float) -> None:
        """Count `times` runs that took `seconds` together."""
        count, total = self.totals.get(stage, (0, 0.0))
        self.totals[stage] = (count + times, total + seconds)


class Inference:
    """All sessions of one device.

    `open_stream` makes the stream of a session with this avatar; `renderers` are the avatars, by name; `clock` is in
    seconds, that of Begin.
    """

    def __init__(
        self,
        open_stream: Callable[[str, PipelineOptions], Stream],
        renderers: Mapping[str, Renderer],
        limits: WorkerLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open_stream = open_stream
        self._renderers = renderers
        self._limits = limits or WorkerLimits()
        self._sessions: dict[int, _Session] = {}
        self._times = StageTimes()
        self._clock = clock
        self._crowded = False
        self._pace = 0.0  # seconds a picture is expected to take
        self._rendered = 0
        self._expired = 0
        self._overflowed = 0
        self._performances: list[Performance] = []

    @property
    def busy(self) -> bool:
        """Whether a picture waits to be made."""
        return any(session.due for session in self._sessions.values())

    def pulse(self) -> Pulse:
        """Counts since the start."""
        return Pulse(self._rendered, self._expired, self._overflowed, dict(self._times.totals))

    def performances(self) -> list[Performance]:
        """Return the coefficients of recorded sessions since the last call."""
        told, self._performances = self._performances, []
        return told

    def handle(self, message: Open | Begin | Sound | Cut | Close) -> SessionFailed | None:
        """Take a message; a session that cannot go on is dropped and reported. Messages to unknown ones are void."""
        try:
            match message:
                case Open():
                    self._open(message)
                case Begin():
                    self._begin(message)
                case Sound():
                    self._sound(message)
                case Cut():
                    self._cut(message)
                case Close():
                    self._sessions.pop(message.session, None)
                    self._share()
        except AvatarError as error:
            self._sessions.pop(message.session, None)
            with contextlib.suppress(AvatarError):  # of another's matte, whose own session will be told
                self._share()
            return SessionFailed(message.session, str(error))
        return None

    def step(self) -> RenderedFrame | None:
        """Make the most urgent picture that can still be in time; None when there is none."""
        start = self._clock()
        ready, expired = start + self._pace + DELIVERY_S, self._expired
        for session in self._sessions.values():
            while session.due and session.deadline() <= ready:
                session.due.popleft()
                self._expired += 1
        waiting = [(number, session) for number, session in self._sessions.items() if session.due]
        if not waiting:
            if self._expired > expired:
                self._pace *= 1 - PACE_WEIGHT  # one slow picture must not stop all that follow
            return None
        number, session = min(waiting, key=lambda item: (item[1].deadline(), item[1].served))
        window = session.due.popleft()
        session.made.append(window)
        if session.shut is not None:
            window = session.stream.ease(window, session.shut)
        frame = session.renderer.render([window])[0]
        seconds = self._clock() - start
        self._times.add("render", 1, seconds)
        self._pace += (seconds - self._pace) * PACE_WEIGHT
        self._rendered += 1
        session.served = self._rendered
        return RenderedFrame(number, session.generation, frame)

    def _open(self, message: Open) -> None:
        if message.avatar not in self._renderers:
            raise SessionError(f"no avatar {message.avatar}; there are {', '.join(self._renderers)}")
        stream = self._open_stream(message.avatar, message.options)
        renderer = self._renderers[message.avatar].showing(message.options.face, crowded=bool(self._sessions))
        self._sessions[message.session] = _Session(
            message.avatar, message.options.face, stream, renderer, performed=message.performed
        )
        self._share()

    def _share(self) -> None:
        """Draw smaller pictures for several sessions than for one; two cores draw two at 256 pixels, or one at 512."""
        crowded = len(self._sessions) > 1
        if crowded == self._crowded:
            return
        self._crowded = crowded
        for session in self._sessions.values():
            session.renderer = self._renderers[session.avatar].showing(session.face, crowded)

    def _begin(self, message: Begin) -> None:
        session = self._sessions.get(message.session)
        if session is None or message.generation <= session.generation:
            return
        session.stream.reset()
        session.due.clear()
        session.made.clear()
        session.shut = None
        session.generation = message.generation
        session.origin = message.origin
        session.first_frame = message.frame
        session.position = message.frame * SAMPLES_PER_FRAME
        session.known = message.frame
        if session.performed:
            self._performances.append(RunBegan(message.session, message.frame, session.stream.rest))

    def _cut(self, message: Cut) -> None:
        session = self._sessions.get(message.session)
        if session is None or message.generation <= session.generation:
            return
        session.generation = message.generation
        shut = Shut(message.cut, message.resume)
        session.shut = shut if session.shut is None else session.shut.then(shut)
        if session.performed:
            self._performances.append(RunEased(message.session, message.cut, session.shut))
        if message.cut - session.remade < REMAKE_FRAMES:
            return
        session.remade = message.cut
        while session.made and session.made[-1].index >= message.cut:
            session.due.appendleft(session.made.pop())

    def _sound(self, message: Sound) -> None:
        session = self._sessions.get(message.session)
        if session is None or message.generation != session.generation:
            return
        samples = self._continue(session, message.chunk)
        start = self._clock()
        windows = session.stream.push(samples)
        self._times.add("coefficients", len(windows), self._clock() - start)
        if session.performed and len(made := session.stream.made()):
            self._performances.append(RunWentOn(message.session, session.known, made))
            session.known += len(made)
        session.due.extend(replace(window, index=window.index + session.first_frame) for window in windows)
        while len(session.due) > self._limits.due_frames:
            session.due.popleft()
            self._overflowed += 1

    @staticmethod
    def _continue(session: _Session, chunk: AudioChunk) -> FloatArray:
        """What the stream takes next: the chunk, less what it has already, after silence for what is missing."""
        hole = chunk.position - session.position
        if hole > MAX_HOLE_S * SAMPLES_PER_FRAME * FPS:
            raise SessionError(f"sound at sample {chunk.position}, expected {session.position}")
        session.position = max(session.position, chunk.position + chunk.samples.size)
        if hole <= 0:
            return chunk.samples[-hole:]
        return np.concatenate([np.zeros(hole, np.float32), chunk.samples])
