"""Server's handle of one worker session: sound in, pictures out, until either side ends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from streamer.core.frames import AudioChunk, ByteArray
from streamer.core.rungs import Rung
from streamer.inference.messages import Begin, Close, Cut, Performance, Postpone, Sound, Steer, ToWorker
from streamer.stages.life.steering import Shown, Steered


class Listener(Protocol):
    """Callbacks of a worker session, called on the event loop."""

    def on_picture(self, generation: int, index: int, rgb: ByteArray) -> None:
        """Handle picture `index` of a generation; uint8 [H, W, 3 or 4]."""

    def on_rung(self, rung: Rung) -> None:
        """Handle a change of the rung: how much the worker leaves out from now on."""

    def on_worker_failure(self, reason: str) -> None:
        """Handle the end of the session in the worker: no more pictures follow."""


class PerformanceListener(Protocol):
    """Receiver of a session's coefficients, called on the event loop; must not block."""

    def on_performance(self, message: Performance) -> None:
        """Handle the next message about the coefficients."""


class WorkerSession:
    """Handle returned by `InferenceWorker.open`; the caller closes it. After the end, anything sent is dropped."""

    def __init__(
        self,
        number: int,
        send: Callable[[ToWorker], None],
        listener: Listener,
        recorder: PerformanceListener | None = None,
    ) -> None:
        self.number = number
        self.is_open = True
        self._send = send
        self._listener = listener
        self._recorder = recorder

    def begin(self, generation: int, frame: int, origin: float) -> None:
        """Start a new generation of sound at `frame`; frame 0 of the session is shown at `origin`."""
        self._send_open(Begin(self.number, generation, frame, origin))

    def push(self, generation: int, chunk: AudioChunk) -> None:
        """Send sound; it is dropped and counted while the process is too far behind."""
        self._send_open(Sound(self.number, generation, chunk))

    def cut(self, generation: int, frame: int, resume: int) -> None:
        """Cancel the sound pushed from `frame` on: the mouth eases shut, until `resume`. See `messages.Cut`."""
        self._send_open(Cut(self.number, generation, frame, resume))

    def postpone(self, origin: float) -> None:
        """Move frame 0 to the time `origin`; all deadlines move by as much."""
        self._send_open(Postpone(self.number, origin))

    def steer(self, wanted: Steered | Shown) -> None:
        """Make the face do something besides speaking."""
        self._send_open(Steer(self.number, wanted))

    def close(self) -> None:
        """End the session; safe to call twice."""
        self._send_open(Close(self.number))
        self.is_open = False

    def take_picture(self, generation: int, index: int, rgb: ByteArray) -> None:
        """Pass a picture from the worker to the listener."""
        if self.is_open:
            self._listener.on_picture(generation, index, rgb)

    def take_rung(self, rung: Rung) -> None:
        """Pass the new rung from the worker to the listener."""
        if self.is_open:
            self._listener.on_rung(rung)

    def take_performance(self, message: Performance) -> None:
        """Pass coefficients from the worker to the recorder."""
        if self.is_open and self._recorder is not None:
            self._recorder.on_performance(message)

    def fail(self, reason: str) -> None:
        """End the session because the worker failed, and report the reason to the listener."""
        if self.is_open:
            self.is_open = False
            self._listener.on_worker_failure(reason)

    def _send_open(self, message: ToWorker) -> None:
        if self.is_open:
            self._send(message)
