"""Fixtures shared by the tests: a family in miniature and its engines."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from engines import SHIPPED_FAMILY
from engines.manifest import Manifest
from engines.runtime import Engines
from streamer.avatar.bundle import PREPARING, Avatar
from streamer.avatar.catalogue import HOME_VARIABLE
from streamer.avatar.tuned_engines import OFF, TUNING_VARIABLE
from streamer.vision.landmarks import Landmarker, shared_landmarker
from streamer.webrtc.ice import LOOPBACK, offer_only
from tests.fakes.no_process import ProcessGuard
from tests.fakes.sound import speech_like, write_wav
from tests.families import tiny_family, tiny_vae_family

# No example may fail for the load of the machine: the limit of a whole test is pytest-timeout's.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

# A server of a test has the engines as they are announced: measuring them takes longer than most tests.
os.environ[TUNING_VARIABLE] = OFF

BACKENDS = ("openvino", "onnxruntime")


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for folders: a thousand of pytest's own, side by side, take ever longer to number."""
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(autouse=True)
def own_home(homes: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty AVATAR_HOME: no test sees, or touches, the avatars of the person who runs it."""
    home = Path(tempfile.mkdtemp(dir=homes))
    monkeypatch.setenv(HOME_VARIABLE, str(home))
    return home


@pytest.fixture(scope="module")
def loopback() -> Iterator[None]:
    """The callers of this process gather loopback candidates, as on a machine without a network."""
    offer_only(LOOPBACK)
    yield
    offer_only(None)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny family, for reading; tests that alter one build their own."""
    return tiny_family.build(tmp_path_factory.mktemp("families") / "tiny")


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Iterator[Engines]:
    """The tiny family's engines, warm."""
    with Engines.open(Manifest.load(tiny_folder), threads=1) as engines:
        yield engines


@pytest.fixture(scope="session")
def dot(tiny: Engines) -> Avatar:
    """The tiny family's avatar."""
    return Avatar.load(tiny)


@pytest.fixture(scope="session")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seconds of syllables and pauses at 48 kHz, which Chromium repeats."""
    speech = np.repeat(speech_like(12.0), 3) * np.float32(3.0)
    return write_wav(tmp_path_factory.mktemp("microphone") / "speech.wav", speech, rate=48_000)


@pytest.fixture(scope="session")
def starter() -> Iterator[Engines]:
    """The shipped family's engines, without those that only prepare an avatar."""
    with Engines.open(Manifest.load(SHIPPED_FAMILY), without=PREPARING, threads=1) as engines:
        yield engines


@pytest.fixture(scope="session")
def narrow_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The official family with narrow networks, small pictures and stand-in weights; for reading. Needs torch."""
    pytest.importorskip("torch")
    from tests.families.narrow import build_narrow

    return build_narrow(tmp_path_factory.mktemp("families") / "sadtalker-128")


@pytest.fixture(scope="session")
def vae_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny family with a face model, for reading."""
    return tiny_vae_family.build(tmp_path_factory.mktemp("families") / "vae")


@pytest.fixture(scope="session")
def vae(vae_folder: Path) -> Iterator[Engines]:
    """Its engines, warm."""
    with Engines.open(Manifest.load(vae_folder), threads=1) as engines:
        yield engines


@pytest.fixture(scope="session")
def ada(vae: Engines) -> Avatar:
    """Its avatar."""
    return Avatar.load(vae)


@pytest.fixture(scope="session")
def landmarker() -> Landmarker:
    """The landmark models, loaded once."""
    return shared_landmarker()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out a module all of whose tests are deselected by `-m "not ..."`: some import large frameworks."""
    expression = config.option.markexpr
    if collection_path.suffix != ".py" or not re.fullmatch(r"not \w+( and not \w+)*", expression):
        return None
    marks = re.search(r"^pytestmark = (\[\n(?: .*\n)*\]|.*)$", collection_path.read_text("utf-8"), re.MULTILINE)
    of_all = re.findall(r"pytest\.mark\.(\w+)", marks[1]) if marks else []
    return True if set(of_all) & set(re.findall(r"not (\w+)", expression)) else None


def pytest_configure(config: pytest.Config) -> None:
    """Start no process in a test that is not marked for it."""
    config.pluginmanager.register(ProcessGuard(), "process guard")
