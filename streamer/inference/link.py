"""One life of the inference process, seen from the server: its pipe, its pictures, its end.

Two threads keep the pipe away from the event loop: one writes from a bounded queue, one reads. Both sleep in the
kernel nearly always.
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

CONTROL = 2  # times as many messages may wait when the rest is not sound


@dataclass(frozen=True, eq=False)
class Picture:
    """A finished picture, copied out of the ring. `rgb` is None when it was overwritten before it could be."""

    session: int
    generation: int
    index: int
    rgb: ByteArray | None


Incoming = FromWorker | Picture


class Process(Protocol):
    """What a link needs of `multiprocessing.Process`."""

    @property
    def pid(self) -> int | None:
        """Its number, None before the start."""

    def start(self) -> None:
        """Start it."""

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, at most `timeout` seconds."""

    def is_alive(self) -> bool:
        """Return whether it runs."""

    def kill(self) -> None:
        """End it at once."""


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
        """`new_process` makes the process, not started, for its end of the pipe."""
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
        """Of the process; None before the start."""
        return self._process.pid

    def start(self) -> None:
        """Start the process; blocks for some tens of milliseconds, so not for the event loop's thread."""
        with sigint_blocked():  # from its first moment: Ctrl-C reaches the whole group; the server says when to end
            self._process.start()
        self._theirs.close()  # so that the pipe ends when the process does
        for thread in self._threads:
            thread.start()

    def send(self, message: ToWorker) -> bool:
        """Queue a message; False when too much waits and the message is dropped.

        Sound is dropped first: without the message that begins a generation, a face would stand still for good.
        """
        if isinstance(message, Sound) and self._outbox.qsize() >= self._limits.queued_messages:
            return False
        try:
            self._outbox.put_nowait(message)
        except queue.Full:
            return False
        return True

    def stop(self) -> None:
        """End the process, by force when it does not within `stop_s`; blocks that long at most twice."""
        if self.pid is None:
            return
        self.send(Stop())
        self._process.join(self._limits.stop_s)
        self.kill()

    def kill(self) -> None:
        """End the process at once."""
        if self._process.is_alive():
            self._process.kill()
            self._process.join(self._limits.stop_s)

    def _write(self) -> None:
        with contextlib.suppress(OSError):  # the process has died; the reader tells
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
            self._outbox.put_nowait(Stop())  # wakes the writer, which then finds the pipe closed

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the event loop has closed
            self._loop.call_soon_threadsafe(callback, *arguments)
