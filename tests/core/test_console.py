"""Console output: a line on the way is replaced by the next, is left out of logs, and never fails."""

from __future__ import annotations

import io
import os
import sys

import pytest

from streamer.core.console import note, remark, say, show


class Terminal(io.StringIO):
    """Standard error as a person sees it."""

    def isatty(self) -> bool:
        return True

    @property
    def lines(self) -> list[str]:
        """What is on the screen: text after a carriage return takes the place of what was there."""
        shown = []
        for line in self.getvalue().split("\n"):
            *_, last = line.split("\r")
            shown.append(last.replace("\033[K", ""))
        return shown


def test_a_status_line_replaces_the_progress_line(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    show("loading ...")
    show("reading ...")
    assert terminal.lines == ["reading ..."]
    remark("it is dark")
    note("ready")
    show("10 %")
    assert terminal.lines == ["note: it is dark", "avatar: ready", "10 %"]


def test_a_log_has_whole_lines_only(capsys: pytest.CaptureFixture[str]) -> None:
    show("loading ...")
    note("ready")
    show("")
    assert capsys.readouterr().err == "avatar: ready\n"


def test_a_reader_that_goes_ends_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as stream:  # noqa: PTH123 - a file descriptor
        for _ in range(3):
            say("a line", stream)
