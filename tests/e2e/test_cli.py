"""The `avatar` command, as a person meets it: files come out, and what goes wrong is one line with exit status 2."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from streamer.cli.main import main
from tests.fakes.sound import speech_like, write_wav
from tests.families import tiny_family, tiny_vae_family
from tests.modules import loaded_modules
from tests.waiting import until

SECONDS = 1.5
FRAMES = 38


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wav(tmp_path_factory.mktemp("sound") / "speech.wav", speech_like(SECONDS))


def render(folder: Path, sound: Path, out: Path, *more: str) -> int:
    return main(["render", "--engines", str(folder), "--audio", str(sound), "--out", str(out), *more])


def refused(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on standard error."""
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("avatar: ")
    return lines[0]


@pytest.mark.slow
def test_render_writes_a_video_and_the_coefficients(
    tiny_folder: Path, sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, numbers = tmp_path / "out.mp4", tmp_path / "out.npz"
    assert render(tiny_folder, sound, out, "--coefficients", str(numbers), "--stats") == 0
    with av.open(str(out)) as container:
        assert container.streams.video[0].frames == FRAMES
        assert len(container.streams.audio) == 1
    with np.load(numbers, allow_pickle=False) as saved:
        assert saved["expression"].shape == (FRAMES, 4)
        assert saved["pose"].shape == (FRAMES, 6)
        assert tuple(saved["expression_names"]) == tiny_family.UNITS
        assert int(saved["fps"]) == 25
    told = capsys.readouterr()
    assert f"wrote {out}" in told.out
    assert f"{FRAMES} frames" in told.err
    assert all(stage in told.err for stage in ("sound", "picture", "encoding"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4", "out.npz"]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_coefficients(tiny_folder: Path, sound: Path, tmp_path: Path) -> None:
    saved = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        numbers = tmp_path / f"{name}.npz"
        render(tiny_folder, sound, tmp_path / "o.mp4", "--seed", str(seed), "--coefficients", str(numbers))
        with np.load(numbers) as arrays:
            saved.append(arrays["pose"])
    np.testing.assert_array_equal(saved[0], saved[1])
    assert np.abs(saved[0] - saved[2]).max() > 0.01


@pytest.mark.slow
def test_a_family_with_a_face_model_renders_too(
    vae_folder: Path, sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default its head moves as the reference moves it; the family is found through the environment."""
    monkeypatch.setenv("AVATAR_FAMILY", str(vae_folder))
    poses = []
    for more in ([], ["--pose-mode", "offline"], ["--pose-mode", "live"], ["--still", "--pose-style", "2"]):
        numbers = tmp_path / "out.npz"
        command = ["render", "--audio", str(sound), "--out", str(tmp_path / "o.mp4"), "--coefficients", str(numbers)]
        assert main([*command, *more]) == 0
        with np.load(numbers) as arrays:
            assert arrays["expression"].shape == (FRAMES, 6)
            poses.append(arrays["pose"])
    np.testing.assert_array_equal(poses[0], poses[1])
    assert np.abs(poses[0] - poses[2]).max() > 0.05
    assert np.ptp(poses[0], axis=0).max() > 0.05
    assert np.ptp(poses[3], axis=0).max() == 0.0


@pytest.mark.slow
def test_a_family_without_avatars_says_how_to_make_one(
    sound: Path, tmp_path: Path, own_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny_vae_family.build(tmp_path / "family")
    tiny_family.edit(folder, lambda data: data.update(avatars=[], default_avatar=""))
    for more in ([], ["--avatar", "ada"]):
        assert render(folder, sound, tmp_path / "out.mp4", *more) == 2
        assert "has no avatar yet; make one of a picture with `avatar prepare PHOTO --name NAME`" in refused(capsys)
    tiny_vae_family.write_avatar(own_home / "avatars" / "bea")
    assert render(folder, sound, tmp_path / "out.mp4") == 0
    assert main(["avatars", "--engines", str(folder)]) == 0
    assert "Bea (default)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--avatar", "nobody"), "no avatar 'nobody'; there are dot"),
        (("--lookahead", "999"), "look-ahead of 999 ms; tiny takes 0 to 185 ms"),
        (("--coefficients", "nowhere/x.npz"), "there is no folder nowhere"),
        (("--out", "nowhere/x.mp4"), "there is no folder nowhere"),
        (
            ("--out", "out.avi"),
            "out.avi: no video is written under such a name; expected it to end in .mp4, .webm, .mov",
        ),
        (("--background", "transparent"), "an MP4 file carries no transparency"),
        (("--audio", "gone.wav"), "gone.wav: no such file"),
        (("--engines", "gone"), "gone: no manifest.json there"),
        (("--pose-style", "3"), "pose style 3; family tiny has no styles of head motion"),
        (("--pose-mode", "offline"), "pose mode offline; the head of family tiny has only the mode live"),
        (("--yaw", "-45"), "yaw of -45 degrees; tiny takes -10 to 10"),
    ],
)
def test_what_cannot_work_is_one_line(
    tiny_folder: Path,
    sound: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    more: tuple[str, str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert render(tiny_folder, sound, Path("out.mp4"), *more) == 2
    assert message in refused(capsys)
    assert list(tmp_path.iterdir()) == []


def test_a_text_file_is_not_sound(tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "speech.wav"
    text.write_text("I am a text.")
    assert render(tiny_folder, text, tmp_path / "out.mp4") == 2
    assert "speech.wav: not a sound or video file" in refused(capsys)


def test_a_damaged_engine_is_named(sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tiny_family.build(tmp_path / "family")
    with (folder / "paint.onnx").open("ab") as file:
        file.write(b"x")
    assert render(folder, sound, tmp_path / "out.mp4") == 2
    assert "paint.onnx: damaged or replaced" in refused(capsys)


def test_avatars_lists_them(tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["avatars", "--engines", str(tiny_folder)]) == 0
    assert "dot" in capsys.readouterr().out


def test_engines_lists_backends_and_devices(
    tiny_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AVATAR_ENGINE", "onnxruntime")
    assert main(["engines", "--engines", str(tiny_folder)]) == 0
    told = capsys.readouterr().out
    assert "family tiny 1: 32x32 at 25 fps, full look-ahead 185 ms, licence CC0-1.0" in told
    assert "paint.onnx (fp32)" in told  # asked for in bf16, which this backend has not
    assert "all files verified" in told


@pytest.mark.process
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_is_quiet_and_leaves_nothing(tiny_folder: Path, tmp_path: Path, number: int, status: int) -> None:
    sound = write_wav(tmp_path / "long.wav", np.tile(speech_like(10), 60))
    command = [sys.executable, "-m", "streamer", "render", "--engines", str(tiny_folder), "--audio", str(sound)]
    with subprocess.Popen([*command, "--out", str(tmp_path / "out.mp4")], stderr=subprocess.PIPE, text=True) as process:
        until(lambda: list(tmp_path.glob(".out.*")), 60)
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
    assert process.returncode == status
    assert told == ""
    assert [path.name for path in tmp_path.iterdir()] == ["long.wav"]


@pytest.mark.process
def test_rendering_imports_neither_torch_nor_the_server() -> None:
    loaded = loaded_modules("import streamer.render.from_sound, streamer.pipeline")
    assert loaded & {"torch", "aiortc", "aiohttp", "onnx", "scipy"} == set()


def test_no_output_overwrites_an_input(
    tiny_folder: Path, sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, before = tmp_path / "mine.wav", sound.read_bytes()
    mine.write_bytes(before)
    out = tmp_path / "out.mp4"
    assert render(tiny_folder, mine, out, "--coefficients", f"{tmp_path}/../{tmp_path.name}/mine.wav") == 2
    assert "mine.wav: is used already" in refused(capsys)
    assert render(tiny_folder, mine, out, "--coefficients", str(out)) == 2
    assert "out.mp4: is used already" in refused(capsys)
    assert mine.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["mine.wav"]


def test_a_bench_that_cannot_end_well_does_not_begin(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = ["bench", "--engines", str(tiny_folder)]
    assert main([*bench, "--json", str(tmp_path / "none" / "bench.json")]) == 2
    assert "there is no folder" in refused(capsys)
    assert main([*bench, "--avatar", "nobody"]) == 2
    assert "no avatar 'nobody'" in refused(capsys)


def test_a_folder_that_may_not_be_read_is_named(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/locked/avatars")

    monkeypatch.setattr(Path, "glob", refuse)  # whoever runs the tests may read everything
    assert main(["avatars", "--engines", str(tiny_folder)]) == 2
    assert refused(capsys) == "avatar: /locked/avatars: Permission denied"
