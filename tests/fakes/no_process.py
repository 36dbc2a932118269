"""A guard that fails a test which starts a process without the marker `process`."""

from __future__ import annotations

import multiprocessing.process
import sys
from collections.abc import Iterator

import pytest


class ProcessGuard:
    """pytest plugin: hold the promise of `make check` that its tests start no process.

    Python's audit events name each `subprocess` and `fork`; `multiprocessing` spawns beside them, so its `start` is
    wrapped. The resource tracker of shared memory is not counted: it belongs to the interpreter.
    """

    def __init__(self) -> None:
        self._forbidden_in: str | None = None
        self._refused: list[str] = []
        sys.addaudithook(self._on_event)
        start = multiprocessing.process.BaseProcess.start

        def guarded(process: multiprocessing.process.BaseProcess) -> None:
            self._refuse("multiprocessing")
            start(process)

        multiprocessing.process.BaseProcess.start = guarded  # type: ignore[method-assign, assignment]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Forbid processes while a test without the marker, with its fixtures, runs."""
        self._refused.clear()
        self._forbidden_in = None if item.get_closest_marker("process") else item.nodeid
        try:
            return (yield)
        finally:
            self._forbidden_in = None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Iterator[None]:
        """Fail the test also if its program caught the refusal."""
        yield
        if self._refused:
            raise AssertionError(self._refused[0])

    def _on_event(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "subprocess.Popen" and str(arguments[0]).endswith("ldconfig"):
            return  # ctypes.util.find_library, as CUDA's bindings are imported
        if event in ("subprocess.Popen", "os.fork", "os.posix_spawn"):
            self._refuse(event)

    def _refuse(self, what: str) -> None:
        if self._forbidden_in is not None:
            self._refused.append(f"{self._forbidden_in} starts a process ({what}): mark it with pytest.mark.process")
            raise AssertionError(self._refused[-1])
