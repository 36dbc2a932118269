"""`avatar camera --output` as a program: what it writes, how it ends, what it refuses."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.manifest import Manifest
from engines.runtime import Engines
from streamer.audio.sound_file import read_sound
from streamer.avatar.bundle import Avatar
from streamer.cli.main import main
from streamer.core.frames import FloatArray
from streamer.core.rates import SAMPLE_RATE
from streamer.pipeline import Pipeline, PipelineOptions
from tests.complaints import faults
from tests.fakes.muxed import look
from tests.fakes.sound import speech_like, write_wav
from tests.waiting import until_grown

pytestmark = pytest.mark.process

SECONDS = 2.0
ATTEMPTS = 4  # at a performance that a busy machine does not disturb


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wav(tmp_path_factory.mktemp("speech") / "speech.wav", speech_like(SECONDS))


def camera(family: Path, speech: Path, output: str | Path) -> list[str]:
    size = ["--width", "64", "--height", "64", "--output", str(output)]
    return ["camera", "--engines", str(family), "--threads", "1", "--input", str(speech), *size]


def test_a_file_has_the_pictures_of_its_sound(
    tiny_folder: Path, tiny: Engines, dot: Avatar, speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for attempt in range(ATTEMPTS):
        out = tmp_path / f"film-{attempt}.mkv"
        assert main(camera(tiny_folder, speech, out)) == 0
        told = capsys.readouterr()
        assert f"output {out}, 64x64 at 25 a second" in told.out
        assert re.search(rf"{re.escape(str(out))}: \d+\.", told.out)
        if int(told.out.split(" pictures, ")[1].split()[0]) < 20:
            break
    else:
        pytest.fail("the machine was too busy to tell anything: pictures were late each time")

    heard = np.concatenate(list(read_sound(out)))
    said = np.concatenate(list(read_sound(speech)))
    lag = _lag(heard, said)  # from the session's beginning to the first sound
    assert 0 <= lag < SAMPLE_RATE // 10
    with av.open(str(out), "r") as film:
        shown = [_small(frame.to_ndarray(format="rgb24", src_colorspace="ITU709")) for frame in film.decode(video=0)]
    pipeline = Pipeline(tiny, dot, PipelineOptions(lookahead_ms=Manifest.load(tiny_folder).lookahead_ms))
    expected = [_small(frame.rgb) for frame in pipeline.push(np.pad(said, (lag, 0)))]
    assert len(shown) >= len(expected) > 40
    misfits = [_misfit(shown[shift : shift + 40], expected[2:42]) for shift in range(5)]
    assert int(np.argmin(misfits)) == 2  # the very pictures, not their neighbours


def _misfit(shown: list[NDArray[np.floating]], expected: list[NDArray[np.floating]]) -> float:
    """Of what moves; what stands still is a matter of the encoder's quality."""
    got, wanted = np.array(shown), np.array(expected)
    return float(np.abs((got - got.mean(axis=0)) - (wanted - wanted.mean(axis=0))).mean())


def _lag(heard: FloatArray, said: FloatArray) -> int:
    """By how many samples `heard` is late."""
    size = 2 * max(len(heard), len(said))
    return int(np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size))).argmax())


def _small(rgb: NDArray[Any]) -> NDArray[np.floating]:
    """Pictures are compared at a size at which H.264 has lost nothing: [8, 8, 3]."""
    side = len(rgb) // 8
    small: NDArray[np.floating] = rgb.reshape(8, side, 8, side, 3).mean(axis=(1, 3))
    return small


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGINT, ".mp4"), (signal.SIGTERM, ".ts")])
def test_a_stop_leaves_a_film(tiny_folder: Path, tmp_path: Path, number: int, kind: str) -> None:
    sound = write_wav(tmp_path / "long.wav", np.tile(speech_like(10), 6))
    out = tmp_path / f"film{kind}"
    command = [sys.executable, "-m", "streamer", *camera(tiny_folder, sound, out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while "speaks with the sound" not in process.stdout.readline():
            assert process.poll() is None
        until_grown(tmp_path, ".film.*.partial.*", 20_000)  # two seconds
        process.send_signal(number)
        told, complaints = process.communicate(timeout=60)
    assert (process.returncode, faults(complaints)) == (0, [])
    assert "s written" in told
    assert sorted(path.name for path in tmp_path.iterdir()) == [out.name, "long.wav"]
    seen = look(out)
    assert len(seen.times) > 10
    assert seen.sound_end == pytest.approx(seen.times[-1], abs=0.1)


def test_a_program_that_is_killed_leaves_a_film_too(tiny_folder: Path, tmp_path: Path) -> None:
    sound = write_wav(tmp_path / "long.wav", np.tile(speech_like(10), 6))
    out = tmp_path / "film.mp4"
    command = [sys.executable, "-m", "streamer", *camera(tiny_folder, sound, out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        while "speaks with the sound" not in process.stdout.readline():
            assert process.poll() is None
        until_grown(tmp_path, ".film.*.partial.*", 20_000)  # two seconds
        process.kill()
        process.stdout.read()  # until the process that writes has ended, too
    assert len(look(out).times) > 5


@pytest.mark.parametrize(
    ("output", "more", "message"),
    [
        ("film.avi", [], "expected udp://HOST:PORT"),
        ("srt://127.0.0.1:5000", [], "no SRT"),
        ("/nowhere/film.mp4", [], "there is no folder /nowhere"),
        ("tcp://127.0.0.1:9", [], "tcp://127.0.0.1:9: cannot be opened"),
        ("udp://127.0.0.1:5000", ["--device", "/dev/video2"], "--output takes its place"),
    ],
)
def test_what_cannot_work_is_one_line(
    tiny_folder: Path, speech: Path, output: str, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*camera(tiny_folder, speech, output), *more]) == 2
    told = capsys.readouterr()
    (line,) = told.err.splitlines()
    assert message in line
    assert told.out == ""
