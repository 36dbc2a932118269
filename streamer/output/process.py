"""The process that encodes and writes an output.

PyAV connects with the interpreter's lock held (its source, 18.1): a server that does not answer would stop all threads
of the program. Here it stops only itself.

When the program is gone, or something ends the process in good order, a file is finished all the same.
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

TERMINATED_S = 5.0  # from SIGTERM on, in which the program is waited for


@dataclass(frozen=True, eq=False)
class Picture:
    """To the process. moment: ms."""

    moment: int
    rgb: ByteArray


@dataclass(frozen=True, eq=False)
class Sound:
    """To the process. moment: of the first sample, in ms."""

    moment: int
    samples: Samples


@dataclass(frozen=True)
class Opened:
    """From the process: the destination takes pictures."""


@dataclass(frozen=True)
class Ended:
    """From the process, last. reason: why, where it was not asked to; `seconds` were written."""

    reason: str | None
    seconds: float


ToMuxer = Picture | Sound | None  # None: that was all
FromMuxer = Opened | Ended


def run(pipe: Connection, job: MuxerJob) -> None:
    """Entry of the process; returns when told to end, when the program is gone, or when the destination fails."""
    leave_to_the_program()
    with contextlib.suppress(OSError):  # the program is gone; there is nobody left to tell
        try:
            muxer = Muxer(job)
        except MediaError as error:
            pipe.send(Ended(str(error), 0.0))
            return
        pipe.send(Opened())
        reason = _write(pipe, muxer)
        pipe.send(Ended(reason, muxer.seconds))


def _write(pipe: Connection, muxer: Muxer) -> str | None:
    """Until the end. Returns what failed, if anything."""
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
    """SIGTERM has come a while ago, and the program has not ended."""


def _terminate_soon(number: int, frame: FrameType | None) -> None:
    """A service's stop, or `timeout`, signals all processes at once: what the program still has comes first."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, _terminate)
        signal.setitimer(signal.ITIMER_REAL, TERMINATED_S)
    else:  # Windows
        raise _TerminatedError


def _terminate(number: int, frame: FrameType | None) -> None:
    raise _TerminatedError


def _end_calmly() -> None:
    """Nothing interrupts what follows."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0)
