"""`avatar camera` as a program that watches the camera sees it.

A registered backend of pyvirtualcam stands for the driver, which cannot be loaded where tests run. It is what the real
ones implement: it is made with a size, gets flattened pictures, and may fail.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engines.manifest import Manifest
from engines.runtime import Engines
from streamer.audio.decimator import Decimator
from streamer.audio.format import AUDIO_BLOCK, MS, RATE, Samples
from streamer.audio.sound_file import read_stereo
from streamer.avatar.bundle import Avatar
from streamer.avatar.gallery import Gallery
from streamer.cli.main import main
from streamer.core.aio import MonotonicClock
from streamer.core.errors import DeviceError
from streamer.core.frames import ByteArray
from streamer.core.letterbox import Fit
from streamer.desktop.local_face import FaceChoice, converse
from streamer.desktop.local_session import LocalSession
from streamer.desktop.sources import FileSource
from streamer.devices.virtual_camera import VirtualCamera, install_hint
from streamer.pipeline import Pipeline, PipelineOptions
from tests.fakes.local import Numbered
from tests.fakes.sound import speech_like, write_wav
from tests.families import tiny_family
from tests.waiting import attempts

pyvirtualcam = pytest.importorskip("pyvirtualcam")  # it has no wheel for some processors

SECONDS = 2.0
ATTEMPTS = 4  # at a performance that a busy machine does not disturb
SIZE = (96, 64)


class Driver:
    """A virtual camera without a driver: keeps what it is sent."""

    devices = ("Fake Camera",)
    broken = False
    got: list[ByteArray] = []  # noqa: RUF012 - of all instances: the test does not make them
    sent = threading.Semaphore(0)
    closed = 0

    def __init__(self, *, width: int, height: int, fps: float, fourcc: int, device: str | None, **_: object) -> None:
        if device not in (None, *self.devices) or Driver.broken:
            raise RuntimeError(f"no device {device}. More of it.\nMuch more")
        self._size = (height, width, 3)
        assert fps == 25

    def send(self, frame: ByteArray) -> None:
        assert frame.ndim == 1
        if Driver.broken:
            raise OSError("No such device")
        Driver.got.append(frame.reshape(self._size).copy())
        Driver.sent.release()

    def close(self) -> None:
        Driver.closed += 1

    def device(self) -> str:
        return self.devices[0]

    def native_fourcc(self) -> int | None:
        return None


@pytest.fixture(autouse=True)
def driver() -> Iterator[type[Driver]]:
    Driver.got, Driver.broken, Driver.closed, Driver.sent = [], False, 0, threading.Semaphore(0)
    pyvirtualcam.register_backend("fake", Driver)
    yield Driver
    del pyvirtualcam.camera.BACKENDS["fake"]


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wav(tmp_path_factory.mktemp("speech") / "speech.wav", speech_like(SECONDS))


class Cable:
    """A sound device that keeps what it gets."""

    lead_s = 0.04

    def __init__(self) -> None:
        self.got: dict[int, Samples] = {}

    def play(self, block: int, samples: Samples) -> None:
        self.got[block] = samples.copy()

    def sound(self) -> Samples:
        """Everything, each packet in its place."""
        whole = np.zeros((max(self.got) + 1, AUDIO_BLOCK, 2), np.int16)
        for block, samples in self.got.items():
            whole[block] = samples
        return whole.reshape(-1, 2)


@pytest.mark.process
async def test_camera_and_sound_device_get_the_same_moments(
    tiny_folder: Path, tiny: Engines, dot: Avatar, speech: Path, driver: type[Driver]
) -> None:
    """Lips belong to the sound that left with them: the pictures are those that the pipeline makes of that sound."""
    said = np.concatenate(list(read_stereo(speech)))
    for attempt in range(1, ATTEMPTS + 1):
        sessions: list[LocalSession] = []
        cable, size = Cable(), tiny_family.SIZE
        driver.got = []
        with VirtualCamera(Fit(size, size), backend="fake") as camera:
            numbered = Numbered(camera)
            source = FileSource(speech, MonotonicClock())
            choice = FaceChoice(tiny_folder, threads=1)
            await converse(Manifest.load(tiny_folder), choice, source, numbered, cable, sessions.append)
        assert len(driver.got) == len(numbered.frames) - camera.dropped
        session = numbered.frames[numbered.frames.index(min(numbered.frames)) :]  # before it, the portrait
        assert session == sorted(set(session))
        assert driver.closed == attempt
        stats, left = sessions[0].stats, cable.sound()[sessions[0].delay_ms * MS :]
        whole = len(cable.got) == max(cable.got) + 1 and np.count_nonzero(left) >= 0.99 * np.count_nonzero(said)
        if whole and not camera.dropped and stats.shown - stats.repeated > SECONDS * 25 / 2:
            break
    else:
        pytest.fail("the machine was too busy to tell anything")
    assert stats.shown >= SECONDS * 25
    starts = np.lib.stride_tricks.sliding_window_view(left[:, 0], 400) == said[RATE // 2 : RATE // 2 + 400, 0]
    (place,) = np.flatnonzero(starts.all(axis=1))
    np.testing.assert_array_equal(left[place : place + RATE], said[RATE // 2 : RATE // 2 + RATE])

    heard = Decimator().push(left)
    options = PipelineOptions(Manifest.load(tiny_folder).lookahead_ms, sessions[0].seed)
    expected = Pipeline(tiny, dot, options).push(heard)
    pairs = [
        (frame, rgb) for frame, rgb in zip(numbered.frames, driver.got, strict=False) if 0 <= frame < len(expected)
    ]
    wrong = sum(np.abs(rgb.astype(int) - expected[frame].rgb).max() > 1 for frame, rgb in pairs)
    assert wrong <= stats.repeated
    assert len(pairs) - stats.repeated >= 10
    assert len({rgb.tobytes() for _, rgb in pairs}) > 10


@pytest.mark.process
def test_the_command_sends_a_file_to_the_camera(
    tiny_folder: Path, speech: Path, driver: type[Driver], capsys: pytest.CaptureFixture[str]
) -> None:
    size = ["--width", str(SIZE[0]), "--height", str(SIZE[1])]
    command = ["camera", "--engines", str(tiny_folder), "--threads", "1", "--input", str(speech), "--backend", "fake"]
    assert main([*command, *size, "--fit", "crop"]) == 0
    assert len(driver.got) >= SECONDS * 25
    assert {rgb.shape for rgb in driver.got} == {(SIZE[1], SIZE[0], 3)}
    still = Gallery.load(Manifest.load(tiny_folder), ["dot"], "dot").find(None).photo
    assert np.array_equal(driver.got[0], Fit(*SIZE, "crop").put(still))  # while the engines are loaded
    assert "camera Fake Camera (fake), 96x64 at 25 a second" in capsys.readouterr().out
    assert driver.closed == 1


@pytest.mark.slow
def test_a_camera_that_goes_away_is_reported_and_reopened(driver: type[Driver]) -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    with VirtualCamera(Fit(*SIZE), backend="fake") as camera:
        camera.show(0, picture)
        assert driver.sent.acquire(timeout=10)
        driver.broken = True
        with pytest.raises(DeviceError, match=r"the virtual camera Fake Camera \(fake\) is gone \(No such device\)"):
            _show_until_told(camera, picture)
        driver.broken = False
        for _ in attempts():
            _quietly(camera, picture)
            if driver.sent.acquire(timeout=0.05):
                break
        camera.show(1, picture)
    assert driver.closed == 2


def _show_until_told(camera: VirtualCamera, picture: ByteArray) -> None:
    for _ in attempts(step=0.02):
        camera.show(0, picture)


def _quietly(camera: VirtualCamera, picture: ByteArray) -> None:
    try:
        camera.show(0, picture)
    except DeviceError:
        return


def test_a_driver_that_hangs_delays_no_other(driver: type[Driver], monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    monkeypatch.setattr(driver, "send", lambda self, frame: go_on.wait(20))
    with VirtualCamera(Fit(*SIZE), backend="fake") as camera:
        for frame in range(50):
            camera.show(frame, np.zeros((8, 8, 3), np.uint8))
        assert camera.dropped >= 44
        go_on.set()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--backend", "fake", "--device", "Nobody"], r"no virtual camera 'Nobody' \(.*no device Nobody\): .*install"),
        (["--backend", "nonsense"], r"no kind of virtual camera 'nonsense'; here there is .*fake"),
        (["--backend", "fake", "--avatar", "nobody"], r"no avatar 'nobody'; there are dot"),
        (["--backend", "fake", "--width", "33"], r"33 found, an even number of pixels from 64 to 3840 expected"),
    ],
)
def test_what_cannot_work_is_one_line(
    tiny_folder: Path, speech: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    command = ["camera", "--engines", str(tiny_folder), "--input", str(speech), *more]
    assert _status(command) == 2
    _assert_one_line(capsys, message)


def test_text_is_not_sound(tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "text.wav"
    text.write_text("nothing to hear")
    assert _status(["camera", "--engines", str(tiny_folder), "--backend", "fake", "--input", str(text)]) == 2
    _assert_one_line(capsys, "text.wav: not a sound or video file that can be read")


def test_a_missing_package_says_how_to_get_it(
    tiny_folder: Path, speech: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    assert _status(["camera", "--engines", str(tiny_folder), "--input", str(speech)]) == 2
    _assert_one_line(
        capsys, r"needs the package pyvirtualcam, which is not installed: `.* -m pip install pyvirtualcam`"
    )


def test_every_platform_has_its_driver() -> None:
    assert "v4l2loopback" in install_hint("linux")
    assert "OBS" in install_hint("win32")
    assert "OBS" in install_hint("darwin")


def _status(command: list[str]) -> int:
    try:
        return main(command)
    except SystemExit as end:
        return int(end.code or 0)


def _assert_one_line(capsys: pytest.CaptureFixture[str], message: str) -> None:
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("avatar: ")
    assert re.search(message, line), line
