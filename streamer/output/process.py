"""The process that encodes and writes an output.

PyAV holds the GIL while it connects (source of 18.1): a server that does not answer would block all threads of the
program. Here it blocks only this process.

A file is also finished if the program is gone or if SIGTERM ends the process.
"""

from __future__ import annotations

import contextlib
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import FrameType

from streamer.audio.format import Samples
from streamer.core.errors import MediaError
from streamer.core.frames import ByteArray
from streamer.core.system.signals import leave_to_the_program
from streamer.output.muxer import Muxer, MuxerJob

TERMINATED_S = 5.0  # grace period after SIGTERM: messages from the program are still written


@dataclass(frozen=True, eq=False)
class Picture:
    """Message to the process: a picture. moment: timestamp in ms."""

    moment: int
    rgb: ByteArray


@dataclass(frozen=True, eq=False)
class Sound:
    """Message to the process: a packet of sound. moment: timestamp of the first sample in ms."""

    moment: int
    samples: Samples


@dataclass(frozen=True)
class Opened:
    """Message from the process: the destination is open."""


@dataclass(frozen=True)
class Ended:
    """Last message from the process. reason: the failure, if any. seconds: length of the written part."""

    reason: str | None
    seconds: float


ToMuxer = Picture | Sound | None  # None: end of the input
FromMuxer = Opened | Ended


def run(pipe: Connection, job: MuxerJob) -> None:
    """Run the process; return on the end of the input, when the program is gone, or when the destination fails."""
    leave_to_the_program()
    with contextlib.suppress(OSError):  # the program is gone: there is no receiver for messages
        try:
            muxer = Muxer(job)
        except MediaError as error:
            pipe.send(Ended(str(error), 0.0))
            return
        pipe.send(Opened())
        reason = _write(pipe, muxer)
        pipe.send(Ended(reason, muxer.seconds))


def _write(pipe: Connection, muxer: Muxer) -> str | None:
    """Write messages until the end. Return the failure, if any."""
    try:
        with contextlib.suppress(EOFError, OSError, _TerminatedError):
            signal.signal(signal.SIGTERM, _terminate_soon)
            _take(pipe, muxer)
        _end_calmly()
        muxer.close()
    except MediaError as error:
        with contextlib.suppress(MediaError):
            muxer.leave()
        return str(error)
    return None


def _take(pipe: Connection, muxer: Muxer) -> None:
    while True:
        message: ToMuxer = pipe.recv()
        match message:
            case Picture():
                muxer.picture(message.moment, message.rgb)
            case Sound():
                muxer.sound(message.moment, message.samples)
            case None:
                return


class _TerminatedError(Exception):
    """The grace period after SIGTERM is over, and the program has not ended the input."""


def _terminate_soon(number: int, frame: FrameType | None) -> None:
    """Handle SIGTERM: end only after TERMINATED_S, so that the program's remaining messages are still written.

    A service manager, or `timeout`, signals all processes at once.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, _terminate)
        signal.setitimer(signal.ITIMER_REAL, TERMINATED_S)
    else:  # Windows
        raise _TerminatedError


def _terminate(number: int, frame: FrameType | None) -> None:
    raise _TerminatedError


def _end_calmly() -> None:
    """Ignore SIGTERM and cancel the timer, so that nothing interrupts closing the file."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0)
