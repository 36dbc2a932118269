"""One session on the inference worker, as its owner holds it: sound in, pictures out, until either side ends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from streamer.core.frames import AudioChunk, ByteArray
from streamer.core.rungs import Rung
from streamer.inference.messages import Begin, Close, Cut, Performance, Postpone, Sound, Steer, ToWorker
from streamer.stages.life.steering import Shown, Steered


class Listener(Protocol):
    """What a session wants to hear of the worker. All calls come on the event loop."""

    def on_picture(self, generation: int, index: int, rgb: ByteArray) -> None:
        """Take picture `index` of this generation; uint8 [H, W, 3 or 4]."""

    def on_rung(self, rung: Rung) -> None:
        """Note how much the worker leaves out from now on."""

    def on_worker_failure(self, reason: str) -> None:
        """Note that there will be no more pictures."""


class PerformanceListener(Protocol):
    """Takes a session's coefficients. The call comes on the event loop and must not wait."""

    def on_performance(self, message: Performance) -> None:
        """Take the next of what the worker reports of them."""


class WorkerSession:
    """What `InferenceWorker.open` returns; its owner closes it. Once it has ended, whatever is sent is dropped."""

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
        """Announce sound of a new generation from `frame` on; frame 0 of the session is shown at `origin`."""
        self._send_open(Begin(self.number, generation, frame, origin))

    def push(self, generation: int, chunk: AudioChunk) -> None:
        """Hand over sound; dropped and counted while the process is too far behind."""
        self._send_open(Sound(self.number, generation, chunk))

    def cut(self, generation: int, frame: int, resume: int) -> None:
        """Void the sound pushed from `frame` on: the mouth eases shut, until `resume`. See `messages.Cut`."""
        self._send_open(Cut(self.number, generation, frame, resume))

    def postpone(self, origin: float) -> None:
        """Frame 0 would now be shown at `origin`; pictures have as much more or less time."""
        self._send_open(Postpone(self.number, origin))

    def steer(self, wanted: Steered | Shown) -> None:
        """Have the face do something beside speaking."""
        self._send_open(Steer(self.number, wanted))

    def close(self) -> None:
        """End it; safe to call twice."""
        self._send_open(Close(self.number))
        self.is_open = False

    def take_picture(self, generation: int, index: int, rgb: ByteArray) -> None:
        """From the worker: pass a picture on."""
        if self.is_open:
            self._listener.on_picture(generation, index, rgb)

    def take_rung(self, rung: Rung) -> None:
        """From the worker: pass on how much is left out."""
        if self.is_open:
            self._listener.on_rung(rung)

    def take_performance(self, message: Performance) -> None:
        """From the worker: pass coefficients on."""
        if self.is_open and self._recorder is not None:
            self._recorder.on_performance(message)

    def fail(self, reason: str) -> None:
        """From the worker: end it for this reason."""
        if self.is_open:
            self.is_open = False
            self._listener.on_worker_failure(reason)

    def _send_open(self, message: ToWorker) -> None:
        if self.is_open:
            self._send(message)
