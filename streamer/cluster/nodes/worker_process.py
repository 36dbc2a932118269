"""Start a worker's process on this machine, ask it how it is, and end it."""

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
START_S = 240.0  # loading and compiling the graphs on a slow machine
ASK_S = 5.0
STOP_S = 10.0


def new_name(actor: str) -> str:
    """A worker's name: another one with each start, so that what was signed for its predecessor leads nowhere."""
    return f"{actor}-{secrets.token_hex(3)}"


class WorkerProcess:
    """A worker that runs.

    Raises:
        EngineError: it did not become ready; the message is the server's own.
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
        """Whether it runs."""
        return self.process.poll() is None

    def report(self) -> Report:
        """How it is. Raises OSError when it does not answer."""
        report = msgspec.json.decode(self._ask("GET", "report"), type=Report)
        return msgspec.structs.replace(report, url=self.url)

    def drain(self) -> None:
        """Let no more in, and move on what there is. Raises OSError."""
        self._ask("POST", "drain")

    def stop(self) -> None:
        """End it; safe to call twice."""
        assert self.process.stdin is not None  # it is a pipe
        with suppress(OSError):
            self.process.stdin.close()  # which it takes as its end
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
        """Read on: a full pipe would block it. What it says goes where its supervisor's words go."""
        assert self.process.stdout is not None
        with self.process.stdout:
            for line in self.process.stdout:
                sys.stderr.write(line.decode(errors="replace"))

    def _ask(self, method: str, what: str) -> bytes:
        headers = {PASS_HEADER: self._settings.pass_word}
        request = urllib.request.Request(f"{self.url}cluster/{what}", method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=ASK_S) as response:
            return bytes(response.read())
