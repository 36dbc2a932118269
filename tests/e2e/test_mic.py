"""`avatar mic` as a program: the page, the terminal, the end; everything but PortAudio's driver."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamer.cli.main import main
from tests.fakes.sound import speech_like, write_wav


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wav(tmp_path_factory.mktemp("speech") / "speech.wav", speech_like(60.0))


@pytest.fixture
def running(tiny_folder: Path, speech: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "streamer", "mic", "--engines", str(tiny_folder), "--threads", "1"]
    options = ["--input", str(speech), "--port", "0"]
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with process:
        yield process
        process.kill()


def _line(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    assert process.stdout is not None
    for line in process.stdout:
        if (found := re.search(pattern, line)) is not None:
            return found
    raise AssertionError(f"never said {pattern}")


@pytest.mark.process
def test_the_face_is_on_a_page_and_ctrl_c_ends(running: subprocess.Popen[str]) -> None:
    page = _line(running, r"the face is at (http://localhost:\d+/)")[1]
    _line(running, "Dot speaks with the sound of .*speech.wav, 320 ms after it")
    with urllib.request.urlopen(f"{page}picture", timeout=60) as stream:
        start = stream.read(20_000)
    assert start.count(b"Content-Type: image/jpeg") >= 2
    assert b"\xff\xd8\xff" in start
    running.send_signal(signal.SIGINT)
    _line(running, r"\d+ pictures, \d+ of them the one before")
    assert running.wait(60) == 0


@pytest.mark.process
def test_ctrl_c_ends_while_the_engines_are_loaded(running: subprocess.Popen[str]) -> None:
    _line(running, "loading the engines")
    running.send_signal(signal.SIGINT)
    assert running.wait(60) == 0


def test_command_line_mistakes_are_named(tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "text.wav"
    text.write_text("nothing to hear")
    assert main(["mic", "--engines", str(tiny_folder), "--input", str(text)]) == 2
    assert "not a sound or video file" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["mic", "--input", "x.wav", "--microphone", "2"])
    assert "not allowed with" in capsys.readouterr().err
