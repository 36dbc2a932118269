"""A server of our own in another process, for the bench and whoever else wants to look at one from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from streamer.core.errors import EngineError

READY = "avatar: ready at "
START_S = 240.0  # loading and compiling the graphs on a slow machine
STOP_S = 5.0


@dataclass(frozen=True)
class LaunchedServer:
    """A running server. `url` ends with a slash."""

    url: str
    process: subprocess.Popen[str]

    def usage(self) -> tuple[float, float]:
        """CPU seconds so far and resident MB of the server and its children; zeros where there is no /proc."""
        seconds = pages = 0.0
        tick, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
        for pid in [self.process.pid, *_children(self.process.pid)]:
            with suppress(OSError, ValueError, IndexError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                seconds += (int(fields[11]) + int(fields[12])) / tick
                pages += int(fields[21])
        return seconds, pages * page / 1e6

    def open_files(self) -> int:
        """Open files and sockets of the server and its children; 0 where there is no /proc."""
        count = 0
        for pid in [self.process.pid, *_children(self.process.pid)]:
            with suppress(OSError):
                count += len(list(Path(f"/proc/{pid}/fd").iterdir()))
        return count


@contextmanager
def launch(arguments: Sequence[str]) -> Iterator[LaunchedServer]:
    """`avatar serve` on a free port with these further arguments; ended when the context is left.

    Raises:
        EngineError: it did not become ready; the message is the server's own.
    """
    command = [sys.executable, "-m", "streamer", "serve", "--port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    patience = threading.Timer(START_S, process.kill)
    patience.start()
    try:
        try:
            url = _await_ready(process)
        finally:
            patience.cancel()  # it is for the start only
        yield LaunchedServer(url, process)
    finally:
        _end(process)


def _await_ready(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None  # it is a pipe
    last, start = "", time.monotonic()
    for line in process.stdout:
        if line.startswith(READY):
            threading.Thread(target=_drain, args=(process.stdout,), daemon=True).start()
            return line.removeprefix(READY).strip()
        last = line.strip().removeprefix("avatar: ") or last
    process.stdout.close()
    if time.monotonic() - start >= START_S:
        last = f"not ready after {START_S:.0f} s"
    raise EngineError(f"the server did not start: {last or 'it said nothing'}")


def _drain(output: TextIO) -> None:
    """Read and drop what the server still says: a full pipe would block it."""
    with output:
        for _ in output:
            pass


def _end(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_S)


def _children(pid: int) -> list[int]:
    """Each thread has its own: a process belongs to the thread that started it."""
    found: list[int] = []
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError, ValueError):
            found += [int(child) for child in listing.read_text().split()]
    return found
