"""`avatar camera` when what it was started from goes: a service that is stopped, a terminal, a reader of its lines."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from streamer.recording.performance_file import open_performance
from tests.complaints import faults
from tests.fakes.muxed import look
from tests.fakes.sound import speech_like, write_wav
from tests.waiting import until_grown

pytestmark = pytest.mark.process

ROW_BYTES = 53  # of a frame, while a recording grows


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wav(tmp_path_factory.mktemp("speech") / "long.wav", np.tile(speech_like(10), 6))


@contextmanager
def camera(family: Path, speech: Path, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Recording all it can, in a group of processes of its own."""
    command = [sys.executable, "-m", "streamer", "camera", "--engines", str(family), "--threads", "1"]
    command += ["--input", str(speech), "--width", "64", "--height", "64", "--output", str(folder / "film.mkv")]
    command += ["--record", str(folder / "talk.npz"), "--record-video", str(folder / "talk.mp4")]
    pipes = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipes, stderr=pipes, text=True, start_new_session=True) as process:
        too_long = threading.Timer(240, process.kill)  # who waits for a line is told that there is none
        too_long.start()
        try:
            yield process
        finally:
            too_long.cancel()
            process.kill()


def await_line(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    while text not in process.stdout.readline():
        assert process.poll() is None


def await_speech(process: subprocess.Popen[str], folder: Path) -> None:
    """Until it has talked for a while: has recorded fifty frames."""
    await_line(process, "speaks with the sound")
    until_grown(folder, ".talk.npz.*.partial/rows", 50 * ROW_BYTES)


def all_is_there(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["film.mkv", "talk.mp4", "talk.npz"]
    for name in ("film.mkv", "talk.mp4"):
        assert len(look(folder / name).times) > 10
    with open_performance(folder / "talk.npz") as performance:
        assert len(performance.index) > 10


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_stop_of_all_processes_at_once_is_not_a_failure(
    tiny_folder: Path, speech: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """As a service manager, `timeout`, or a terminal that is closed does it. The latter tells it several times."""
    with camera(tiny_folder, speech, tmp_path) as process:
        await_speech(process, tmp_path)
        os.killpg(process.pid, number)
        told, complaints = process.communicate(timeout=60)
    assert process.returncode == 0, complaints
    assert "cannot be written" not in complaints
    assert "recorded" in complaints
    assert "film.mkv: " in told
    all_is_there(tmp_path)


def test_a_second_hangup_does_not_interrupt_finishing(tiny_folder: Path, speech: Path, tmp_path: Path) -> None:
    with camera(tiny_folder, speech, tmp_path) as process:
        await_speech(process, tmp_path)
        process.send_signal(signal.SIGHUP)
        await_line(process, "pictures, ")
        process.send_signal(signal.SIGHUP)
        await_line(process, "film.mkv: ")
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=60)
    all_is_there(tmp_path)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_its_output_need_not_be_read(tiny_folder: Path, speech: Path, tmp_path: Path, stream: str) -> None:
    """On Ctrl-C, `| tee talk.log` is gone before the last lines are said."""
    with camera(tiny_folder, speech, tmp_path) as process:
        await_speech(process, tmp_path)
        gone = getattr(process, stream)
        gone.close()
        setattr(process, stream, None)
        process.send_signal(signal.SIGINT)
        told, complaints = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in f"{told}{complaints}"
    assert "BrokenPipe" not in f"{told}{complaints}"
    all_is_there(tmp_path)


def test_a_missing_file_is_not_called_damaged(tiny_folder: Path, speech: Path, tmp_path: Path) -> None:
    with camera(tiny_folder, speech, tmp_path) as process:
        await_line(process, "loading the engines")
        process.send_signal(signal.SIGINT)
        told, complaints = process.communicate(timeout=60)
    assert (process.returncode, faults(complaints)) == (0, [])
    assert "film.mkv: no file, it ended before the first picture" in told
    assert not list(tmp_path.iterdir())
