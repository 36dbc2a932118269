"""How the commands of the export half end, and what they read."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest

from engines.errors import AvatarError
from export.tools import command


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (AvatarError("found x, expected y"), 2, "avatar: found x, expected y"),
        (PermissionError(13, "Permission denied", "/locked"), 2, "avatar: /locked: Permission denied"),
        (KeyboardInterrupt(), 130, "avatar: stopped half-way"),
    ],
)
def test_what_goes_wrong_is_one_line(
    error: BaseException, status: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def job() -> None:
        raise error

    assert command.run(job, "stopped half-way") == status
    assert capsys.readouterr().err == f"{line}\n"


def test_a_job_says_how_it_ended() -> None:
    assert command.run(lambda: None) == 0
    assert command.run(lambda: 1) == 1


@pytest.mark.parametrize(
    ("read", "good", "bad"),
    [
        (command.share, ["1", "0.0625"], ["0", "-1", "nan", "inf", "1.1", "x", ""]),
        (command.count, ["1", "9999"], ["0", "-1", "1.5", "x", "", "1" * 5000]),
    ],
)
def test_numbers_out_of_range_are_refused(read: Callable[[str], float], good: list[str], bad: list[str]) -> None:
    assert [read(text) for text in good] == [float(text) for text in good]
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError, match="expected"):
            read(text)


def test_a_file_is_wanted_where_it_can_be(tmp_path: Path) -> None:
    assert command.new_file(str(tmp_path / "new.json")) == tmp_path / "new.json"
    for path in (tmp_path, tmp_path / "none" / "new.json"):
        with pytest.raises(argparse.ArgumentTypeError, match="a file in an existing folder"):
            command.new_file(str(path))
