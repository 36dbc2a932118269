"""Start a worker process on this machine, request its reports, and end it."""

from __future__ import annotations

import secrets
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from contextlib import suppress

import msgspec

from streamer.cluster.enclosure import PASS_HEADER
from streamer.cluster.messages import Report
from streamer.cluster.nodes.worker_main import WorkerSettings
from streamer.core.errors import EngineError

READY = "avatar: ready at "
START_S = 240.0  # enough to load and compile the graphs on a slow machine
ASK_S = 5.0
STOP_S = 10.0


def new_name(actor: str) -> str:
    """Return a worker's name, new at each start, so that addresses signed for its predecessor are not found."""
    return f"{actor}-{secrets.token_hex(3)}"


class WorkerProcess:
    """A running worker process.

    Raises:
        EngineError: it did not become ready; the message is the server's last output line.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        command = [sys.executable, "-m", "streamer.cluster.nodes.worker_main"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=False
        )
        try:
            self.url = self._begin()
        except BaseException:
            self.stop()
            if self.process.stdout is not None:
                self.process.stdout.close()
            raise
        threading.Thread(target=self._drop_output, daemon=True).start()

    @property
    def alive(self) -> bool:
        """Whether the process is running."""
        return self.process.poll() is None

    def report(self) -> Report:
        """Return its report. Raises OSError when it does not answer."""
        report = msgspec.json.decode(self._ask("GET", "report"), type=Report)
        return msgspec.structs.replace(report, url=self.url)

    def drain(self) -> None:
        """Start draining. Raises OSError."""
        self._ask("POST", "drain")

    def stop(self) -> None:
        """End the process; safe to call twice."""
        assert self.process.stdin is not None  # it is a pipe
        with suppress(OSError):
            self.process.stdin.close()  # the worker ends at the end of its input
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_S)

    def _begin(self) -> str:
        assert self.process.stdin is not None  # both are pipes
        assert self.process.stdout is not None
        patience = threading.Timer(START_S, self.process.kill)
        patience.start()
        last = "it said nothing"
        try:
            with suppress(BrokenPipeError):
                self.process.stdin.write(self._settings.encode())
                self.process.stdin.flush()
            for line in self.process.stdout:
                text = line.decode(errors="replace").strip()
                if text.startswith(READY):
                    return text.removeprefix(READY)
                last = text.removeprefix("avatar: ") or last
        finally:
            patience.cancel()
        raise EngineError(f"the worker did not start: {last}")

    def _drop_output(self) -> None:
        """Copy its output to the supervisor's standard error: a full pipe would block it."""
        assert self.process.stdout is not None
        with self.process.stdout:
            for line in self.process.stdout:
                sys.stderr.write(line.decode(errors="replace"))

    def _ask(self, method: str, what: str) -> bytes:
        headers = {PASS_HEADER: self._settings.pass_word}
        request = urllib.request.Request(f"{self.url}cluster/{what}", method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=ASK_S) as response:
            return bytes(response.read())
