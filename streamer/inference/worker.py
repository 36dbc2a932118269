"""Server side of the inference worker: opens sessions on it and restarts its process when that dies."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from enum import Enum, auto

from streamer.core.aio import Clock, MonotonicClock, Tasks
from streamer.core.errors import BundleError, EngineError, SessionError
from streamer.core.limits import WorkerLimits
from streamer.core.options import PipelineOptions
from streamer.inference.link import Incoming, Picture, WorkerLink
from streamer.inference.messages import (
    Announce,
    Close,
    Failed,
    Load,
    Loaded,
    Open,
    Pulse,
    Ready,
    RunBegan,
    RunEased,
    RunWentOn,
    SessionFailed,
    Stepped,
    ToWorker,
    Unload,
    WorkerSettings,
)
from streamer.inference.worker_session import Listener, PerformanceListener, WorkerSession

logger = logging.getLogger(__name__)

WATCH_S = 1.0  # between two checks that the process is still alive


class WorkerState(Enum):
    """NEW -> STARTING -> READY -> STARTING (after a crash) -> ... -> FAILED (too many crashes) or STOPPED."""

    NEW = auto()
    STARTING = auto()
    READY = auto()
    FAILED = auto()
    STOPPED = auto()


@dataclass
class WorkerStats:
    """Counters since the server started."""

    starts: int = 0
    messages_dropped: int = 0  # the process fell behind with its messages
    pictures_overwritten: int = 0  # the server fell behind with the pictures


class InferenceWorker:
    """The inference process, restarted when it dies. `most` is the pixel count of the largest picture."""

    def __init__(
        self,
        settings: WorkerSettings,
        most: int,
        limits: WorkerLimits | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.state = WorkerState.NEW
        self.stats = WorkerStats()
        self.failure = ""  # why the process last ended
        self._settings = settings
        self._most = most
        self._limits = limits or WorkerLimits()
        self._clock = clock or MonotonicClock()
        self._ready: Ready | None = None
        self._link: WorkerLink | None = None
        self._sessions: dict[int, WorkerSession] = {}
        self._opened = 0
        self._loading: dict[str, asyncio.Future[str | None]] = {}
        self._changed = asyncio.Event()
        self._heard = 0.0  # when the last message came from the process
        self._failed_starts = 0
        self._pulse = Pulse()
        self._tasks = Tasks()

    @property
    def pid(self) -> int | None:
        """Process ID; None before the first start."""
        return self._link.pid if self._link else None

    @property
    def pulse(self) -> Pulse:
        """The latest counters from the process."""
        return self._pulse

    async def start(self) -> Ready:
        """Start the process and wait until it is warm.

        Raises:
            AvatarError: the family or the default avatar cannot be used, or loading took too long.
        """
        await self._launch()
        self._tasks.spawn(self._watch())
        try:
            async with asyncio.timeout(self._limits.start_s):
                while self.state is WorkerState.STARTING:
                    await self._changed.wait()
                    self._changed.clear()
        except TimeoutError:
            await self.stop()
            raise EngineError(f"the engines were not ready after {self._limits.start_s:.0f} s") from None
        if self._ready is None:
            raise EngineError(self.failure)
        return self._ready

    async def stop(self) -> None:
        """End the process and notify its sessions."""
        self._change(WorkerState.STOPPED)
        self._tasks.cancel()
        self._fail_sessions("the server is stopping")
        if self._link is not None:
            await asyncio.to_thread(self._link.stop)

    async def load(self, avatar: str, patience_s: float) -> None:
        """Load a newly created avatar, so that `open` accepts it.

        Raises:
            SessionError: the worker is not ready, or loading took longer than `patience_s`.
            BundleError: the avatar cannot be used.
        """
        if self.state is not WorkerState.READY:
            raise SessionError("the engines are not ready; try again in a moment")
        answer = self._loading.setdefault(avatar, asyncio.get_running_loop().create_future())
        self._send(Load(avatar))
        try:
            async with asyncio.timeout(patience_s):
                failure = await answer
        except TimeoutError:
            raise SessionError(f"avatar {avatar} was not ready after {patience_s:.0f} s") from None
        finally:
            self._loading.pop(avatar, None)
        if failure is not None:
            raise BundleError(failure)

    def announce(self, avatar: str) -> None:
        """Accept sessions with a newly created avatar. A process that starts later finds the avatar by itself."""
        self._send(Announce(avatar))

    def unload(self, avatar: str) -> None:
        """Unload an avatar that was removed; sessions that show it continue."""
        self._send(Unload(avatar))

    def open(
        self, avatar: str, options: PipelineOptions, listener: Listener, recorder: PerformanceListener | None = None
    ) -> WorkerSession:
        """Open a session. `recorder`, if given, receives its coefficients.

        Raises:
            SessionError: the worker is not ready.
        """
        if self.state is not WorkerState.READY:
            raise SessionError("the engines are not ready; try again in a moment")
        self._opened += 1
        session = WorkerSession(self._opened, self._send, listener, recorder)
        self._sessions[session.number] = session
        self._send(Open(session.number, avatar, options, performed=recorder is not None))
        return session

    async def _launch(self) -> None:
        self._change(WorkerState.STARTING)
        self.stats.starts += 1
        self._heard = self._clock.now()
        link = WorkerLink(
            self._settings,
            self._most,
            self._limits,
            on_message=lambda message: self._on_message(link, message),
            on_end=lambda: self._on_end(link),
        )
        self._link = link
        await asyncio.to_thread(link.start)

    def _send(self, message: ToWorker) -> None:
        if isinstance(message, Close):
            self._sessions.pop(message.session, None)
        if self.state is WorkerState.READY and self._link is not None and not self._link.send(message):
            self.stats.messages_dropped += 1

    def _on_message(self, link: WorkerLink, message: Incoming) -> None:
        if link is not self._link or self.state is WorkerState.STOPPED:  # it may report ready while being stopped
            return
        self._heard = self._clock.now()
        match message:
            case Picture(rgb=None):
                self.stats.pictures_overwritten += 1
            case Picture(rgb=rgb) if rgb is not None:
                if (session := self._sessions.get(message.session)) is not None:
                    session.take_picture(message.generation, message.index, rgb)
            case RunBegan() | RunWentOn() | RunEased():
                if (session := self._sessions.get(message.session)) is not None:
                    session.take_performance(message)
            case Stepped():
                for session in self._sessions.values():
                    session.take_rung(message.rung)
            case SessionFailed():
                if (session := self._sessions.pop(message.session, None)) is not None:
                    session.fail(message.reason)
            case Loaded():
                if (answer := self._loading.get(message.avatar)) is not None and not answer.done():
                    answer.set_result(message.failure)
            case Pulse():
                self._pulse = message
                self._failed_starts = 0
            case Ready():
                self._ready = message
                self._change(WorkerState.READY)
            case Failed():
                self.failure = message.reason
                self._change(WorkerState.FAILED)

    def _on_end(self, link: WorkerLink) -> None:
        if link is not self._link or self.state in (WorkerState.STOPPED, WorkerState.FAILED):
            return
        self.failure = "the inference process ended unexpectedly"
        self._failed_starts += 1
        first_start = self._ready is None
        self._fail_sessions(self.failure)
        if first_start or self._failed_starts > self._limits.restarts:
            logger.error("%s; not started again", self.failure)
            self._change(WorkerState.FAILED)
            return
        logger.error("%s; starting it again", self.failure)
        self._change(WorkerState.STARTING)
        self._tasks.spawn(self._launch())

    def _fail_sessions(self, reason: str) -> None:
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            session.fail(reason)

    async def _watch(self) -> None:
        """Kill the process when it hangs; `_on_end` then handles its end like any other."""
        while True:
            await self._clock.sleep_until(self._clock.now() + WATCH_S)
            patience = self._limits.hung_s if self.state is WorkerState.READY else self._limits.start_s
            if self._link is not None and self._clock.now() - self._heard > patience:
                logger.error("no sign of life from the inference process for %.0f s", patience)
                self._heard = self._clock.now()
                await asyncio.to_thread(self._link.kill)

    def _change(self, state: WorkerState) -> None:
        if self.state is not state:
            logger.debug("worker: %s -> %s", self.state.name, state.name)
            self.state = state
            self._changed.set()
