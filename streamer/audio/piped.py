"""Audio from a pipe, copied to a temporary file: it is read twice, and some formats are read from their end."""

from __future__ import annotations

import contextlib
import os
import re
import select
import stat
import tempfile
import time
import weakref
from collections.abc import Callable
from pathlib import Path

from streamer.core.errors import MediaError

MOST_BYTES = 2 << 30  # 3 h of 48 kHz stereo
STALLED_S = 60.0  # timeout without a byte: the writer has not started, or hangs
NOTE_S = 1.0  # s without the first byte before the user is informed
PIECE = 1 << 20
_DESCRIPTOR = re.compile(r"/dev/fd/(\d+)|/proc/self/fd/(\d+)|/dev/std(in)")

Say = Callable[[str], None]


class Piped:
    """Temporary copy of a pipe's content at `path`; deleted with this object."""

    def __init__(self, origin: Path, say: Say) -> None:
        """Read the pipe (FIFO, socket, /dev/stdin) to its end. Raises MediaError."""
        handle, name = tempfile.mkstemp(prefix="avatar-", suffix=".sound")  # 0600
        self.path = Path(name)
        weakref.finalize(self, self.path.unlink, missing_ok=True)
        source = _open(origin)
        try:
            with os.fdopen(handle, "wb") as copy:
                taken = 0
                while piece := _next_piece(origin, source, say if not taken else None):
                    taken += len(piece)
                    if taken > MOST_BYTES:
                        raise MediaError(f"{origin}: more than {MOST_BYTES >> 30} GB came; save it as a file first")
                    copy.write(piece)
        except OSError as error:
            raise MediaError(f"{origin}: cannot be read ({error.strerror})") from None
        finally:
            os.close(source)


def is_pipe(path: Path) -> bool:
    """Return whether a path can be read only once: a pipe, a FIFO, a socket, a terminal."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode)


def _open(origin: Path) -> int:
    """Open a non-blocking file descriptor. Raises MediaError."""
    try:
        if found := _DESCRIPTOR.fullmatch(str(origin)):
            source = os.dup(int(found[1] or found[2] or 0))  # a socket cannot be opened by name
        else:
            source = os.open(origin, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a FIFO's writer may open it later
    except OSError as error:
        raise MediaError(f"{origin}: cannot be read ({error.strerror})") from None
    if os.isatty(source):
        os.close(source)
        raise MediaError(f"{origin}: is a terminal; expected a file, or a program's output through a pipe")
    return source


def _next_piece(origin: Path, source: int, say: Say | None) -> bytes:
    """Return the next bytes, empty at the end. `say` reports a wait for the first ones. Raises MediaError, OSError."""
    start, told = time.monotonic(), say is None
    while (waited := time.monotonic() - start) < STALLED_S:
        if select.select([source], [], [], NOTE_S)[0]:
            with contextlib.suppress(BlockingIOError):
                return os.read(source, PIECE)
        elif not told and say is not None and waited > NOTE_S / 2:
            say(f"waiting for sound from {origin}")
            told = True
    raise MediaError(f"{origin}: nothing came for {STALLED_S:.0f} s")
