"""Scheduler for all sessions of one device: sound becomes coefficients at once, pictures go earliest deadline first.

Rendering is the expensive part. The next picture is always the one with the earliest deadline of any session; ties go
to the session served least recently. A picture that can no longer be in time, at the pace of the latest ones, is
dropped if its session has a later one: this sheds load without delaying the sound, and no session can take more than
its share. (Dropping only pictures that are already late would, under load, make every picture slightly late.) The last
waiting picture of a session is rendered even if it comes a little late, and however late it is if the session had no
picture for half a second. The `ladder` handles longer overload. No I/O: the caller passes messages and the clock.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from streamer.core.errors import AvatarError, SessionError
from streamer.core.frames import AvatarFrame, Paint
from streamer.core.limits import WorkerLimits
from streamer.core.options import PipelineOptions
from streamer.core.rates import LATE_MS
from streamer.core.rungs import RUNGS, Rung
from streamer.inference.cross_fade import CrossFade
from streamer.inference.ladder import Ladder
from streamer.inference.messages import (
    Begin,
    Close,
    Cut,
    Open,
    Performance,
    Postpone,
    Pulse,
    RunBegan,
    RunEased,
    RunWentOn,
    SessionFailed,
    Sound,
    Steer,
)
from streamer.inference.rendered_session import RenderedSession, Renderer, Stream
from streamer.inference.stage_times import StageTimes
from streamer.stages.life.steering import Background, Emotion, Energy, Gaze, Gesture, Shown, Size, Wear
from streamer.stages.mouth_easing import Shut

PACE_WEIGHT = 0.2  # of the newest picture in the moving average of the cost
DELIVERY_S = 0.005  # from the end of rendering until the picture is available in the server process


@dataclass(frozen=True)
class RenderedFrame:
    """A picture of a session's generation, or its coefficients if `bare`."""

    session: int
    generation: int
    frame: AvatarFrame
    bare: bool = False


class Inference:
    """All sessions of one device.

    `open_stream` opens a session's stream for an avatar; `renderers` holds the avatars by name; `clock` returns seconds
    on the same clock as `Begin.origin`.
    """

    def __init__(
        self,
        open_stream: Callable[[str, PipelineOptions], Stream],
        renderers: Mapping[str, Renderer],
        limits: WorkerLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
        picture_s: float = 0.0,
        bare: Renderer | None = None,
    ) -> None:
        """Start empty. picture_s: seconds per picture at warm-up; bare: renderer for sessions without pictures."""
        self._bare = bare
        self._open_stream = open_stream
        self._renderers = renderers
        self._limits = limits or WorkerLimits()
        self._sessions: dict[int, RenderedSession] = {}
        self._times = StageTimes()
        self._clock = clock
        self._ladder = Ladder(clock())
        self._untold: Rung | None = None  # rung not yet reported to the sessions
        self._pace = {True: picture_s, False: 0.0}  # expected seconds per picture, by whether it is painted
        self._rendered = 0
        self._expired = 0
        self._overflowed = 0
        self._performances: list[Performance] = []

    @property
    def busy(self) -> bool:
        """Whether a picture waits to be rendered."""
        return any(session.due for session in self._sessions.values())

    def pulse(self) -> Pulse:
        """Return the counters since the start."""
        ladder = self._ladder
        return Pulse(
            rendered=self._rendered,
            expired=self._expired,
            overflowed=self._overflowed,
            rung=RUNGS.index(ladder.rung),
            steps=dict(ladder.steps),
            busy=ladder.busy,
            frame_s=self._pace[True] + self._times.mean("coefficients"),
            stages=dict(self._times.totals),
            latencies=dict(self._times.latencies),
        )

    def performances(self) -> list[Performance]:
        """Return the coefficient messages of recorded sessions since the last call."""
        told, self._performances = self._performances, []
        return told

    def stepped(self) -> Rung | None:
        """Return the current rung if it was not reported yet, else None."""
        told, self._untold = self._untold, None
        return told

    def handle(self, message: Open | Begin | Sound | Cut | Postpone | Steer | Close) -> SessionFailed | None:
        """Handle a message. A session that fails is dropped and returned; messages to unknown sessions are ignored."""
        try:
            if isinstance(message, Open):
                self._open(message)
            elif (session := self._sessions.get(message.session)) is not None:
                self._handle(session, message)
        except AvatarError as error:
            self._sessions.pop(message.session, None)
            return SessionFailed(message.session, str(error))
        return None

    def _handle(self, session: RenderedSession, message: Begin | Sound | Cut | Postpone | Steer | Close) -> None:
        match message:
            case Begin():
                self._begin(session, message)
            case Sound():
                self._sound(session, message)
            case Cut():
                self._cut(session, message)
            case Postpone():
                session.origin = message.origin
            case Steer(wanted=Background() | Size() | Wear() as wanted):
                with contextlib.suppress(AvatarError):  # no usable matte: the look stays as it is
                    self._show(session, wanted)
            case Steer(wanted=Emotion() | Energy() | Gaze() | Gesture() as wanted):
                session.stream.ask(wanted)
            case Close():
                del self._sessions[message.session]

    def step(self) -> RenderedFrame | None:
        """Render the most urgent picture that can still be in time; return None if no picture waits."""
        start = self._clock()
        if self._ladder.look(start, len(self._sessions)):
            self._take_rung()
        expired, ready = self._expired, start + DELIVERY_S
        for session in sorted(self._sessions.values(), key=_urgency):
            ready = self._expire(session, ready)
        waiting = [(number, session) for number, session in self._sessions.items() if session.due]
        if not waiting:
            if self._expired > expired:  # one slow picture must not block all later ones
                self._pace = {paint: seconds * (1 - PACE_WEIGHT) for paint, seconds in self._pace.items()}
            return None
        number, session = min(waiting, key=lambda item: _urgency(item[1]))
        frame = self._render(session, start)
        return RenderedFrame(number, session.generation, frame, session.bare)

    def _expire(self, session: RenderedSession, free: float) -> float:
        """Drop the pictures that the rung leaves out and those that would be late.

        free: time at which the more urgent pictures of other sessions are done. Return the time at which this one's is.
        """
        if session.bare:  # costs nothing, so it is never dropped
            return free
        rung = self._ladder.rung
        ready = free + self._pace[self._paints(session)]
        while session.due:
            if rung.still or session.due[0].index % rung.every:
                session.due.popleft()
            elif len(session.due) <= rung.every and session.starved:
                return ready
            elif session.deadline() + (0 if len(session.due) > rung.every else LATE_MS / 1000) <= ready:
                session.due.popleft()
                self._expired += 1
                self._ladder.missed()
            else:
                return ready
        return free

    def _paints(self, session: RenderedSession) -> bool:
        return session.unpainted + 1 >= self._ladder.rung.paint_every

    def _paint(self, session: RenderedSession) -> Paint:
        return Paint.WHERE_MOVED if self._paints(session) else Paint.KEPT

    def _render(self, session: RenderedSession, start: float) -> AvatarFrame:
        moment, paint = session.deadline(), self._paint(session)
        window = session.due.popleft()
        session.made.append(window)
        window = session.stream.steer(window)
        if session.shut is not None:
            window = session.stream.ease(window, session.shut)
        frame = session.renderer.render([window], paint)[0]
        if session.bare:
            return frame
        if isinstance(session.renderer, CrossFade):
            session.renderer = session.renderer.settled()
        painted = frame.painted
        now = self._clock()
        seconds = now - start
        self._times.add("render" if painted else "warp", 1, seconds)
        self._pace[painted] += (seconds - self._pace[painted]) * PACE_WEIGHT
        self._ladder.worked(seconds)
        slack = moment - now - DELIVERY_S
        self._ladder.made(slack, fits=slack > -LATE_MS / 1000)
        session.unpainted = session.unpainted + 1 if paint is Paint.KEPT else 0
        self._rendered += 1
        session.served = self._rendered
        return frame

    def _open(self, message: Open) -> None:
        if message.avatar not in self._renderers:
            raise SessionError(f"no avatar {message.avatar}; there are {', '.join(self._renderers)}")
        stream = self._open_stream(message.avatar, message.options)
        rung = self._ladder.rung
        renderer = self._renderers[message.avatar].showing(message.options.face, rung.smallest)
        bare = None if message.options.pictures else self._bare
        self._sessions[message.session] = RenderedSession(
            message.options.face, stream, bare or renderer, performed=message.performed, bare=bare is not None
        )
        self._untold = rung

    def _take_rung(self) -> None:
        """Apply the ladder's rung to all sessions."""
        self._untold = rung = self._ladder.rung
        for session in self._sessions.values():
            with contextlib.suppress(AvatarError):  # no usable matte: the look stays as it is
                session.renderer = session.renderer.showing(session.face, rung.smallest)

    def _show(self, session: RenderedSession, wanted: Shown) -> None:
        """Change a session's look from the next picture on. Raises AvatarError, with nothing changed."""
        face, smallest = session.face, self._ladder.rung.smallest
        if session.bare:
            return
        if isinstance(wanted, Wear):
            if (other := self._renderers.get(wanted.name)) is not None:  # None if it has been removed meanwhile
                session.renderer = CrossFade(session.renderer, other.showing(face, smallest))
            return
        if isinstance(wanted, Background):
            face = replace(face, background=wanted.value)
        else:
            face = replace(face, size=wanted.value)
        session.renderer, session.face = session.renderer.showing(face, smallest), face

    def _begin(self, session: RenderedSession, message: Begin) -> None:
        if message.generation <= session.generation:
            return
        session.begin(message)
        if session.performed:
            self._performances.append(RunBegan(message.session, message.frame, session.stream.rest))

    def _cut(self, session: RenderedSession, message: Cut) -> None:
        if message.generation <= session.generation:
            return
        session.generation = message.generation
        shut = Shut(message.cut, message.resume)
        session.shut = shut if session.shut is None else session.shut.then(shut)
        if session.performed:
            self._performances.append(RunEased(message.session, message.cut, session.shut))
        session.make_anew(message.cut)

    def _sound(self, session: RenderedSession, message: Sound) -> None:
        if message.generation != session.generation:
            return
        samples = session.continued(message.chunk)
        start = self._clock()
        windows = session.stream.push(samples)
        seconds = self._clock() - start
        self._times.add("coefficients", len(windows), seconds)
        self._ladder.worked(seconds)
        if session.performed and len(made := session.stream.made()):
            self._performances.append(RunWentOn(message.session, session.known, made))
            session.known += len(made)
        session.due.extend(replace(window, index=window.index + session.first_frame) for window in windows)
        while len(session.due) > self._limits.due_frames:
            session.due.popleft()
            self._overflowed += 1


def _urgency(session: RenderedSession) -> tuple[float, int]:
    return (session.deadline() if session.due else 0.0, session.served)
