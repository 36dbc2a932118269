"""The wheel, installed into an empty environment, is whole: it prepares a photo, renders and serves."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from PIL import Image

from tests import ROOT
from tests.fakes import faces
from tests.fakes.sound import speech_like, write_wav

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def avatar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installed command. Its dependencies are those of this interpreter, found by a path; none of our files is."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    ignored = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "build")
    shutil.copytree(ROOT, source, ignore=ignored)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source)],
        check=True,
        timeout=120,
    )
    shutil.rmtree(source)
    (wheel,) = folder.glob("avatar_streamer-*.whl")
    environment = folder / "environment"
    venv.create(environment, with_pip=False)
    paths = {"base": str(environment), "platbase": str(environment)}
    subprocess.run(
        [*pip, f"--python={_python(environment)}", "install", "--no-deps", "--no-index", str(wheel)],
        check=True,
        timeout=120,
    )
    packages = Path(sysconfig.get_path("purelib", "venv", vars=paths))
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return Path(sysconfig.get_path("scripts", "venv", vars=paths)) / ("avatar.exe" if os.name == "nt" else "avatar")


def _python(environment: Path) -> Path:
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def run(avatar: Path, folder: Path, *arguments: str) -> str:
    done = subprocess.run([avatar, *arguments], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_our_files_come_from_the_wheel(avatar: Path, tmp_path: Path) -> None:
    code = "import streamer, engines, clients; print(streamer.__file__, engines.__file__, clients.__file__)"
    python = _python(avatar.parents[1])
    found = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert all(Path(path).is_relative_to(avatar.parents[1]) for path in found.stdout.split())


def test_a_photo_becomes_an_avatar_that_renders(avatar: Path, tmp_path: Path) -> None:
    Image.fromarray(faces.portrait("mina", 400)).save(tmp_path / "photo.png")
    write_wav(tmp_path / "speech.wav", speech_like(0.4))
    assert "photo" in run(avatar, tmp_path, "prepare", "photo.png")
    run(avatar, tmp_path, "render", "--avatar", "photo", "--audio", "speech.wav", "--out", "talk.mp4")
    assert (tmp_path / "talk.mp4").stat().st_size > 1000


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
def test_it_serves_until_it_is_stopped(avatar: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        [avatar, "serve", "--port", "0"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "http://" in line:
                break
        else:
            pytest.fail("".join(lines))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0
