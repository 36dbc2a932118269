"""Server's connection to one run of the inference process: its pipe, the shared pictures, and its end.

Two threads keep the blocking pipe off the event loop: one writes from a bounded queue, one reads. Both are blocked in
the kernel nearly all the time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import pickle
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Protocol

from streamer.core.frames import ByteArray
from streamer.core.limits import WorkerLimits
from streamer.core.system.signals import sigint_blocked
from streamer.inference.frame_ring import FrameRing
from streamer.inference.messages import FrameReady, FromWorker, Sound, Stop, ToWorker, WorkerSettings
from streamer.inference.process import run

logger = logging.getLogger(__name__)

CONTROL = 2  # factor on the queue limit for messages other than sound


@dataclass(frozen=True, eq=False)
class Picture:
    """A finished picture, copied out of the ring. `rgb` is None when it was overwritten before the copy."""

    session: int
    generation: int
    index: int
    rgb: ByteArray | None


Incoming = FromWorker | Picture


class Process(Protocol):
    """The part of `multiprocessing.Process` that a link uses."""

    @property
    def pid(self) -> int | None:
        """Process ID; None before the start."""

    def start(self) -> None:
        """Start the process."""

    def join(self, timeout: float | None = None) -> None:
        """Wait for the process to end, at most `timeout` seconds."""

    def is_alive(self) -> bool:
        """Return whether the process is running."""

    def kill(self) -> None:
        """Kill the process."""


def _new_process(pipe: Connection, ring: FrameRing, settings: WorkerSettings) -> Process:
    context = multiprocessing.get_context("spawn")
    return context.Process(target=run, args=(pipe, ring, settings), name="avatar-inference", daemon=True)


class WorkerLink:
    """A running inference process. `on_message` and `on_end` are called on the event loop, `on_end` last and once."""

    def __init__(
        self,
        settings: WorkerSettings,
        most: int,
        limits: WorkerLimits,
        on_message: Callable[[Incoming], None],
        on_end: Callable[[], None],
        new_process: Callable[[Connection, FrameRing, WorkerSettings], Process] = _new_process,
    ) -> None:
        """Make the link; `new_process` returns a process, not yet started, for the far end of the pipe."""
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._on_message = on_message
        self._on_end = on_end
        self._ring = FrameRing(limits.ring_slots, most)
        self._pipe, self._theirs = multiprocessing.Pipe()
        self._outbox: queue.Queue[ToWorker] = queue.Queue(CONTROL * limits.queued_messages)
        self._process = new_process(self._theirs, self._ring, settings)
        self._threads = [
            threading.Thread(target=self._read, name="inference-reader", daemon=True),
            threading.Thread(target=self._write, name="inference-writer", daemon=True),
        ]

    @property
    def pid(self) -> int | None:
        """Process ID; None before the start."""
        return self._process.pid

    def start(self) -> None:
        """Start the process. Blocks for some tens of milliseconds, so do not call it on the event loop."""
        with sigint_blocked():  # from the first moment: Ctrl-C reaches the whole group, but the server ends the child
            self._process.start()
        self._theirs.close()  # so that reading reports EOF when the process ends
        for thread in self._threads:
            thread.start()

    def send(self, message: ToWorker) -> bool:
        """Queue a message. Return False when the queue is full and the message was dropped.

        Sound is dropped first: if the message that begins a generation were lost, the face would freeze for good.
        """
        if isinstance(message, Sound) and self._outbox.qsize() >= self._limits.queued_messages:
            return False
        try:
            self._outbox.put_nowait(message)
        except queue.Full:
            return False
        return True

    def stop(self) -> None:
        """End the process; kill it after `stop_s` seconds. Blocks for at most twice that long."""
        if self.pid is None:
            return
        self.send(Stop())
        self._process.join(self._limits.stop_s)
        self.kill()

    def kill(self) -> None:
        """Kill the process, if it is running."""
        if self._process.is_alive():
            self._process.kill()
            self._process.join(self._limits.stop_s)

    def _write(self) -> None:
        with contextlib.suppress(OSError):  # the process has died; the reader reports it
            while True:
                message = self._outbox.get()
                self._pipe.send(message)
                if isinstance(message, Stop):
                    return

    def _read(self) -> None:
        # OSError and UnpicklingError: the process died in the middle of a message.
        with contextlib.suppress(EOFError, OSError, pickle.UnpicklingError):
            while True:
                message: FromWorker = self._pipe.recv()
                if isinstance(message, FrameReady):
                    rgb = self._ring.read(message.serial) if message.numbers is None else message.numbers
                    self._tell(self._on_message, Picture(message.session, message.generation, message.index, rgb))
                else:
                    self._tell(self._on_message, message)
        self._tell(self._on_end)
        with contextlib.suppress(queue.Full):
            self._outbox.put_nowait(Stop())  # wakes the writer, which then fails on the closed pipe

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the event loop has closed
            self._loop.call_soon_threadsafe(callback, *arguments)
