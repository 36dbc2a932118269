"""Start `avatar serve` in a child process, to measure it from outside."""

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

import psutil

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
        """Return the CPU seconds so far and the resident MB of the server and its children.

        On Linux, a page that they share counts once.
        """
        seconds = resident = 0.0
        for process in self._processes():
            with suppress(psutil.Error), process.oneshot():
                times = process.cpu_times()
                seconds += times.user + times.system
                full = process.memory_full_info()
                resident += getattr(full, "pss", full.rss)
        return seconds, resident / 1e6

    def open_files(self) -> int:
        """Count the open files and sockets (on Windows: handles) of the server and its children."""
        count = 0
        for process in self._processes():
            with suppress(psutil.Error):
                count += process.num_handles() if sys.platform == "win32" else process.num_fds()
        return count

    def _processes(self) -> list[psutil.Process]:
        try:
            server = psutil.Process(self.process.pid)
            return [server, *server.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


@contextmanager
def launch(arguments: Sequence[str], log: Path | None = None) -> Iterator[LaunchedServer]:
    """Run `avatar serve` on a free port with further arguments, until the context is left.

    log: a file for its output after it is ready.

    Raises:
        EngineError: it did not become ready; the message is the server's last line.
    """
    command = [sys.executable, "-m", "streamer", "serve", "--port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    patience = threading.Timer(START_S, process.kill)
    patience.start()
    try:
        try:
            url = _await_ready(process, log)
        finally:
            patience.cancel()  # the limit is for the start only
        yield LaunchedServer(url, process)
    finally:
        _end(process)


def _await_ready(process: subprocess.Popen[str], log: Path | None) -> str:
    assert process.stdout is not None  # it is a pipe
    last, start = "", time.monotonic()
    for line in process.stdout:
        if line.startswith(READY):
            threading.Thread(target=_drain, args=(process.stdout, log), daemon=True).start()
            return line.removeprefix(READY).strip()
        last = line.strip().removeprefix("avatar: ") or last
    process.stdout.close()
    if time.monotonic() - start >= START_S:
        last = f"not ready after {START_S:.0f} s"
    raise EngineError(f"the server did not start: {last or 'it said nothing'}")


def _drain(output: TextIO, log: Path | None) -> None:
    """Read the server's further output: a full pipe would block it."""
    with output, Path(os.devnull if log is None else log).open("w", encoding="utf-8") as kept:
        for line in output:
            kept.write(line)
            kept.flush()


def _end(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(START_S)
