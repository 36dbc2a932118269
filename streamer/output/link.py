"""The parent's side of one process that writes an output."""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle

from streamer.core.errors import MediaError
from streamer.core.system.signals import sigint_blocked
from streamer.output.muxer import MuxerJob
from streamer.output.process import Ended, FromMuxer, Opened, ToMuxer, run

OPEN_S = 15.0  # to start, connect and write the header
LAST_WORDS_S = 2.0  # longest wait for a failed process's last message, and for its exit


class OutputLostError(MediaError):
    """The output ended early; the message is the reason only. seconds: length of the written part."""

    def __init__(self, reason: str, seconds: float) -> None:
        super().__init__(reason)
        self.seconds = seconds


class MuxerLink:
    """A running process with its destination open. Calls block; `kill` may be called from any thread."""

    def __init__(self, job: MuxerJob) -> None:
        """Raises OutputLostError if the destination cannot be opened."""
        self._destination = job.destination
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=run, args=(theirs, job), name="avatar-output", daemon=True)
        with sigint_blocked():
            self._process.start()
        theirs.close()  # so that the pipe ends when the process does
        first = self._next(OPEN_S)
        if not isinstance(first, Opened):
            self.kill()
            raise OutputLostError((first.reason if first else None) or f"no answer within {OPEN_S:.0f} s", 0.0)

    def send(self, message: ToMuxer) -> None:
        """Send a picture, a packet of sound, or the end. Raises OutputLostError."""
        try:
            self._pipe.send(message)
        except OSError:
            raise self._loss(self._next(LAST_WORDS_S)) from None

    def finish(self, patience_s: float) -> float:
        """Wait until everything is written, after the end was sent; return its length in s. Raises OutputLostError."""
        last = self._next(patience_s)
        if not isinstance(last, Ended) or last.reason is not None:
            raise self._loss(last)
        self._process.join(LAST_WORDS_S)
        self.kill()
        return last.seconds

    def kill(self) -> None:
        """Kill the process; a call that waits for it fails."""
        with contextlib.suppress(ValueError, AttributeError):  # it was never started
            self._process.kill()

    def _loss(self, last: FromMuxer | None) -> OutputLostError:
        self.kill()
        if isinstance(last, Ended) and last.reason is not None:
            return OutputLostError(last.reason, last.seconds)
        self._process.join(LAST_WORDS_S)
        with contextlib.suppress(OSError):  # every container is playable without its end
            self._destination.keep()
        return OutputLostError("the process that writes it has ended", 0.0)

    def _next(self, patience_s: float) -> FromMuxer | None:
        # OSError and UnpicklingError: the process died in the middle of a message.
        with contextlib.suppress(EOFError, OSError, pickle.UnpicklingError):
            if self._pipe.poll(patience_s):
                message: FromMuxer = self._pipe.recv()
                return message
        return None
