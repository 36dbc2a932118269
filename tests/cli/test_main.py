"""The `avatar` command itself: its help, its examples, and how little of the program it loads for them."""

from __future__ import annotations

import importlib
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from streamer.cli import main as cli
from streamer.cli.main import COMMANDS, main
from tests import ROOT
from tests.modules import loaded_modules

HEAVY = {"numpy", "cv2", "av", "aiohttp", "aiortc", "openvino", "onnxruntime", "PIL"}


@pytest.fixture(autouse=True)
def terminal_of_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def examples(command: str) -> tuple[str, ...]:
    found: tuple[str, ...] = importlib.import_module(f"streamer.cli.{command}").EXAMPLES if command else cli.EXAMPLES
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: avatar " + command)
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_ends_with_two_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"] if command else ["--help"])
    last = capsys.readouterr().out.splitlines()[-3:]
    assert last == ["examples:", *(f"  {example}" for example in examples(command))]


@pytest.mark.parametrize("example", [example for command in ("", *COMMANDS) for example in examples(command)])
def test_every_example_parses_to_its_command(example: str) -> None:
    program, command, *arguments = shlex.split(example)
    assert program == "avatar"
    assert cli.make_parser().parse_args([command, *arguments]).command == command


def test_no_command_prints_help_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    shown = capsys.readouterr()
    assert shown.out.startswith("usage: avatar")
    assert all(command in shown.out for command in COMMANDS)
    assert shown.err == ""


def test_an_unknown_command_is_refused_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["server"])
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(command in line for command in ("server", *COMMANDS))


@pytest.mark.process
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_loads_no_heavy_module(command: str) -> None:
    arguments = [*command.split(), "--help"]
    loaded = loaded_modules(f"from streamer.cli.main import main; main({arguments!r})")
    assert f"streamer.cli.{command or 'main'}" in loaded
    assert loaded & HEAVY == set()


@pytest.fixture(scope="module")
def strangely_named(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A photo and a home with names that terminals lack; the home has a face of the photo."""
    folder = tmp_path_factory.mktemp("names")
    photo, home = folder / "Zoë ☃ 雪.png", folder / "hömé ☃"
    shutil.copy(ROOT / "engines" / "starter" / "avatars" / "kofi" / "portrait.webp", photo)
    made = run_with("ascii", home, "prepare", str(photo), "--name", "zoe", "--title", "Zoë ☃ 雪")
    assert made.returncode == 0, made.stderr
    return photo, home


def run_with(encoding: str, home: Path, *command: str) -> subprocess.CompletedProcess[bytes]:
    environment = os.environ | {"PYTHONIOENCODING": encoding, "AVATAR_HOME": str(home)}
    command = (sys.executable, "-m", "streamer", *command)
    run = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)
    assert b"Traceback" not in run.stderr
    return run


@pytest.mark.process
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_a_terminal_that_lacks_signs_gets_escapes(strangely_named: tuple[Path, Path], encoding: str) -> None:
    """Names and titles are shown as well as it can; what was done stays done, with exit status 0."""
    photo, home = strangely_named
    shown = run_with(encoding, home, "avatars")
    assert shown.returncode == 0, shown.stderr
    assert b"\\u2603" in shown.stdout
    assert run_with(encoding, home, "prepare", "--help").returncode == 0
    again = run_with(encoding, home, "prepare", str(photo), "--name", "zoe")
    assert again.returncode == 2, again.stderr
    missing = run_with(encoding, home, "prepare", str(photo.with_name("☃.png")))
    assert missing.returncode == 2, missing.stderr
    assert b"\\u2603" in missing.stderr
