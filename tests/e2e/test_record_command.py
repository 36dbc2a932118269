"""Recording and replay as a person meets them: camera, mic and serve write a file, and `avatar render` plays it."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import sys
import wave
import zipfile
from pathlib import Path

import aiohttp
import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.runtime import Engines
from streamer.audio.decimator import Decimator
from streamer.audio.format import RATE, Samples
from streamer.audio.sound_file import read_stereo
from streamer.avatar.bundle import Avatar
from streamer.cli.main import main
from streamer.core.rates import FPS
from streamer.measure.caller import Caller
from streamer.measure.launched_server import launch
from streamer.pipeline import CoefficientStream, PipelineOptions
from streamer.recording.performance import Performance
from streamer.recording.performance_file import open_performance
from tests.fakes.sound import speech_like, write_wav
from tests.families import tiny_family
from tests.waiting import until_grown

pytestmark = pytest.mark.usefixtures("loopback")

SECONDS = 1.2
ROW_BYTES = 53  # of a frame, while a recording grows


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wav(tmp_path_factory.mktemp("speech") / "speech.wav", speech_like(SECONDS))


def read(path: Path) -> tuple[Performance, Samples]:
    with open_performance(path) as found:
        assert found.sound is not None
        return found, np.concatenate(list(read_stereo(found.sound)))


def lying_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refused(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on standard error."""
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("avatar: ")
    return line


def follows_the_sound(tiny: Engines, dot: Avatar, found: Performance, sound: Samples) -> None:
    """The coefficients are those that the sound in the file gives: lips and sound belong together.

    A session that falls behind begins another run, which hears the sound from its first frame on; on a slow machine
    there may be several. The last eight frames of a run may lack the sound that follows them.
    """
    compared = 0
    for run in found.runs():
        first = int(found.index[run.start]) * (RATE // FPS)
        stream = CoefficientStream(tiny, dot, PipelineOptions(found.about.lookahead_ms))
        stream.push(Decimator().push(np.pad(sound[first:], ((0, RATE), (0, 0)))))
        expected = stream.made()[:, : found.expression.shape[1]]
        heard = max(len(sound) - first, 0) // (RATE // FPS)
        count = max(min(run.stop - run.start, heard) - 8, 0)
        np.testing.assert_allclose(found.expression[run][:count], expected[:count], atol=1e-4)
        compared += count
    assert compared > 15


def found_again(live: NDArray[np.float64], played: NDArray[np.float64]) -> list[float]:
    """How alike each 0.1 s of what was heard live and what is played at most 0.2 s from there are, 1 being the same.

    Live, a program that is held up skips what the recording has.
    """
    live, played, piece, apart = live[::4], played[::4], RATE // 40, RATE // 20
    found = []
    for start in range(apart, min(len(live), len(played)) - piece - apart, piece):
        said, about = live[start : start + piece], played[start - apart : start + piece + apart]
        energy = np.convolve(about**2, np.ones(piece), "valid") * (said @ said)
        if energy.min() > 0:
            found.append(float((np.correlate(about, said, "valid") / np.sqrt(energy)).max()))
    return found


@pytest.mark.process
def test_a_microphone_is_recorded_until_the_program_ends(
    tiny_folder: Path, tiny: Engines, dot: Avatar, tmp_path: Path
) -> None:
    """Then the file is played, without the name of a sound, and looks like the video that was recorded beside it."""
    long = write_wav(tmp_path / "speech.wav", speech_like(30.0))
    target, live, video = tmp_path / "r.npz", tmp_path / "r.mkv", tmp_path / "r.mp4"
    command = [sys.executable, "-m", "streamer", "mic", "--engines", str(tiny_folder), "--threads", "1", "--port", "0"]
    with subprocess.Popen(
        [*command, "--input", str(long), "--record", str(target), "--record-video", str(live)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert any("Dot speaks" in line for line in process.stdout)
        until_grown(tmp_path, ".r.npz.*.partial/rows", 50 * ROW_BYTES)
        process.send_signal(signal.SIGTERM)
        told = process.stdout.read()
        assert process.wait(60) == 0
    assert f"avatar: recorded {target}: " in told
    assert f"avatar: recorded {live}: " in told
    assert lying_in(tmp_path) == ["r.mkv", "r.npz", "speech.wav"]
    found, sound = read(target)
    follows_the_sound(tiny, dot, found, sound)
    said = np.concatenate(list(read_stereo(long)))
    middle = sound[len(sound) // 2 :][: RATE // 10]
    assert middle.any()
    assert middle.tobytes() in said.tobytes()
    assert main(["render", "--engines", str(tiny_folder), "--coefficients", str(target), "--out", str(video)]) == 0
    with av.open(str(video)) as container:
        assert container.streams.video[0].frames == -(-len(sound) // 1920)
        assert len(container.streams.audio) == 1
    shown, played = (np.stack([np.frombuffer(one, np.uint8) for one in pictures(path)]) for path in (live, video))
    assert abs(len(shown) - len(played)) <= 2
    length = min(len(shown), len(played))
    assert np.abs(shown[:length].astype(int) - played[:length]).mean() < 3.0
    loud, heard = (np.concatenate(list(read_stereo(path)))[:, 0].astype(float) for path in (live, video))
    assert np.median(found_again(loud, heard)) > 0.98


@pytest.mark.process
async def test_each_session_of_a_server_has_its_file(
    tiny_folder: Path, tiny: Engines, dot: Avatar, speech: Path, tmp_path: Path
) -> None:
    """Also the one that is cut short by the server's end; and visitors are told before they say anything."""
    voice = np.repeat((30_000 * speech_like(30.0)).astype(np.int16), 3)
    record = str(tmp_path / "talk.npz")
    with launch(["--engines", str(tiny_folder), "--sessions", "2", "--threads", "1", "--record", record]) as server:
        async with aiohttp.ClientSession() as http, http.get(server.url + "avatars") as response:
            assert (await response.json())["recorded"] is True
        camera = await visit(server.url, speech, tmp_path / "camera.mkv")
        assert f"{server.url} records what is said to it" in camera
        assert f"recorded {tmp_path / 'camera.mkv'}: " in camera
        async with Caller(server.url, voice) as one, asyncio.timeout(90):
            async with Caller(server.url, voice[:0]) as other:
                while min(len(caller.recording.pictures) for caller in (one, other)) < 40:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            server.process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(server.process.wait, 60) == 0
    files = ["talk-1.npz", "talk-2.npz", "talk-3.npz"]
    assert lying_in(tmp_path) == ["camera.mkv", "camera.ts", *files]
    recorded = [read(tmp_path / name) for name in files]
    for found, sound in recorded:
        assert found.about.avatar == "dot"
        follows_the_sound(tiny, dot, found, sound)
    silent, *loud = sorted(int(np.abs(sound).max()) for _, sound in recorded)
    assert silent < 100
    assert min(loud) > 2_000


async def visit(url: str, speech: Path, video: Path) -> str:
    """`avatar camera --server` into a file, with a video recorded beside it; what it says."""
    command = [sys.executable, "-m", "streamer", "camera", "--server", url, "--input", str(speech)]
    process = await asyncio.create_subprocess_exec(
        *command,
        *("--output", str(video.with_suffix(".ts")), "--record-video", str(video)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    told, _ = await process.communicate()
    assert process.returncode == 0, told
    return told.decode()


@pytest.mark.parametrize("command", ["mic", "camera", "serve"])
def test_a_file_that_is_there_is_refused(
    command: str, tiny_folder: Path, speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, video = tmp_path / "r.npz", tmp_path / "r.mp4"
    target.write_text("mine")
    video.write_text("mine")
    begin = [command, "--engines", str(tiny_folder), *([] if command == "serve" else ["--input", str(speech)])]
    assert main([*begin, "--record", str(target)]) == 2
    assert "r.npz: is there already" in refused(capsys)
    if command != "serve":
        assert main([*begin, "--record-video", str(video)]) == 2
        assert "r.mp4: is there already" in refused(capsys)
        assert main([*begin, "--record-video", str(tmp_path / "r.avi")]) == 2
        assert "expected a name that ends in .mp4 or .mkv" in refused(capsys)
        assert main([*begin, "--record-video", str(tmp_path / "v.mp4"), "--background", "transparent"]) == 2
        assert "carries no transparency" in refused(capsys)
    assert lying_in(tmp_path) == ["r.mp4", "r.npz"]
    assert {target.read_text(), video.read_text()} == {"mine"}


@pytest.mark.parametrize("command", ["camera", "mic", "serve"])
def test_a_recording_that_cannot_be_made_is_refused_beforehand(
    command: str, tiny_folder: Path, speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The name leaves no room for what it is called while it grows; a folder that is read-only is met by the same."""
    begin = [command, "--engines", str(tiny_folder), *([] if command == "serve" else ["--input", str(speech)])]
    assert main([*begin, "--record", str(tmp_path / f"{'long' * 60}.npz")]) == 2
    assert "long.npz: cannot be written (File name too long)" in refused(capsys)
    assert not lying_in(tmp_path)


def test_an_output_and_the_video_of_it_are_not_one_file(
    tiny_folder: Path, speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    begin = ["camera", "--engines", str(tiny_folder), "--input", str(speech), "--output", "talk.mp4"]
    assert main([*begin, "--record-video", str(tmp_path / "talk.mp4")]) == 2
    assert "talk.mp4: is the file of --output already" in refused(capsys)
    assert not lying_in(tmp_path)


@pytest.fixture(scope="module")
def saved(tiny_folder: Path, speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `avatar render --coefficients` saves with a sound."""
    folder = tmp_path_factory.mktemp("saved")
    command = ["render", "--engines", str(tiny_folder), "--audio", str(speech), "--yaw", "4"]
    assert main([*command, "--coefficients", str(folder / "s.npz"), "--out", str(folder / "s.mp4")]) == 0
    return folder / "s.npz"


def pictures(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24").tobytes() for frame in container.decode(video=0)]


def alike(one: Path, other: Path) -> bool:
    """Whether two videos show the same. Of the same pictures (test_recording has them to the bit), the encoder does not
    always make the same to the last grey level."""
    both = [np.frombuffer(b"".join(pictures(path)), np.uint8).astype(int) for path in (one, other)]
    return both[0].shape == both[1].shape and bool(np.abs(both[0] - both[1]).mean() < 1.0)


@pytest.mark.slow
def test_what_render_saves_makes_the_same_video(tiny_folder: Path, speech: Path, saved: Path, tmp_path: Path) -> None:
    """With the sound given again; without one, silent. The head is held as it was."""
    command = ["render", "--engines", str(tiny_folder), "--coefficients", str(saved)]
    assert main([*command, "--sound", str(speech), "--out", str(tmp_path / "a.mp4")]) == 0
    assert alike(tmp_path / "a.mp4", saved.with_suffix(".mp4"))
    assert main([*command, "--out", str(tmp_path / "b.mp4")]) == 0
    assert alike(tmp_path / "b.mp4", tmp_path / "a.mp4")
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert not container.streams.audio


@pytest.mark.slow
def test_by_default_its_performer_plays_it(tiny_folder: Path, speech: Path, own_home: Path, tmp_path: Path) -> None:
    """If that avatar is here; else by the family's default."""
    folder = own_home / "avatars" / "able"
    tiny_family.write_avatar(folder)
    cv2.imwrite(str(folder / "portrait.png"), np.full((tiny_family.SIZE, tiny_family.SIZE, 3), 90, np.uint8))
    command = ["render", "--engines", str(tiny_folder), "--out"]
    saved = ["--coefficients", str(tmp_path / "s.npz")]
    assert main([*command, str(tmp_path / "live.mp4"), "--audio", str(speech), "--avatar", "able", *saved]) == 0
    assert main([*command, str(tmp_path / "again.mp4"), *saved]) == 0
    shutil.rmtree(folder)
    assert main([*command, str(tmp_path / "dot.mp4"), *saved]) == 0
    assert alike(tmp_path / "again.mp4", tmp_path / "live.mp4")
    assert not alike(tmp_path / "dot.mp4", tmp_path / "live.mp4")


@pytest.mark.slow
def test_without_a_sound_it_says_so(
    tiny_folder: Path, saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["render", "--engines", str(tiny_folder), "--coefficients", str(saved)]
    assert main([*command, "--out", str(tmp_path / "a.mp4")]) == 0
    assert "holds no sound; the video is silent (--sound gives it one)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--seed", "0"], "--seed: is for a sound"),
        (["--lookahead", "100", "--pose-style", "1"], "--lookahead, --pose-style: is for a sound"),
        (["--expression-scale", "1"], "--expression-scale: is for a sound"),
        (["--reference-pose", "v.mp4"], "--reference-pose: is for a sound"),
        (["--yaw", "89"], "yaw of 89 degrees"),
        (["--background", "transparent"], "carries no transparency"),
        (["--sound", "nothing.wav"], "nothing.wav: no such file"),
        (["--avatar", "nobody"], "no avatar 'nobody'"),
    ],
)
def test_a_performance_is_not_made_anew(
    more: list[str], says: str, tiny_folder: Path, saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["render", "--engines", str(tiny_folder), "--coefficients", str(saved), "--out", f"{tmp_path}/a.mp4"]
    assert main([*command, *more]) == 2
    assert says in refused(capsys)
    assert not list(tmp_path.iterdir())


def test_neither_or_both_is_refused(
    tiny_folder: Path, speech: Path, saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["render", "--engines", str(tiny_folder), "--out", str(tmp_path / "a.mp4")]
    assert main(command) == 2
    assert "nothing to render; expected --audio FILE, or --coefficients FILE.npz" in refused(capsys)
    assert main([*command, "--audio", str(speech), "--sound", str(speech)]) == 2
    assert "--sound is for playing coefficients" in refused(capsys)


def test_another_familys_performance_is_refused(
    vae_folder: Path, saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["render", "--engines", str(vae_folder), "--coefficients", str(saved), "--out", f"{tmp_path}/a.mp4"]
    assert main(command) == 2
    assert "was performed with family tiny, whose coefficients are not tiny-vae's" in refused(capsys)


@pytest.mark.slow
@pytest.mark.parametrize("sound", [b"", b"no sound at all", b"fLaC" + bytes(100)])
def test_a_damaged_sound_is_reported_by_the_recordings_name(
    sound: bytes, tiny_folder: Path, speech: Path, saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "p.npz"
    shutil.copy(saved, target)
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr("sound.flac", sound)
    command = ["render", "--engines", str(tiny_folder), "--coefficients", str(target), "--out", f"{tmp_path}/a.mp4"]
    assert main(command) == 2
    assert f"{target}: its sound is damaged; give it another with --sound" in refused(capsys)
    assert main([*command, "--sound", str(speech)]) == 0


def test_a_sound_without_a_sample_is_reported(
    tiny_folder: Path, saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And makes no silent video."""
    sound = tmp_path / "empty.wav"
    with wave.open(str(sound), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
    command = ["render", "--engines", str(tiny_folder), "--coefficients", str(saved), "--out", f"{tmp_path}/a.mp4"]
    assert main([*command, "--sound", str(sound)]) == 2
    assert f"{sound}: its sound is empty" in refused(capsys)
    assert lying_in(tmp_path) == ["empty.wav"]


def test_another_frame_rate_is_refused(tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = {"expression_names": np.array(tiny_family.UNITS), "pose_names": np.array(tiny_family.POSE)}
    arrays = {"expression": np.zeros((9, 4), np.float32), "pose": np.zeros((9, 6), np.float32), "fps": np.array(30)}
    np.savez(tmp_path / "p.npz", allow_pickle=False, **arrays, **names)
    command = ["render", "--engines", str(tiny_folder), "--coefficients", f"{tmp_path}/p.npz"]
    assert main([*command, "--out", str(tmp_path / "a.mp4")]) == 2
    assert "is at 30 frames a second; tiny runs at 25" in refused(capsys)
