"""The faces of the inference process: which are in memory, and that they can be made at any time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engines.errors import EngineError
from engines.manifest import Manifest
from engines.runtime import Engines
from streamer.core.errors import BundleError
from streamer.core.options import PipelineOptions
from streamer.core.rates import SAMPLE_RATE
from streamer.inference.faces import KEPT, Faces
from tests.families import tiny_family

OWN = ("able", "bold", "calm", "dour")


@pytest.fixture
def faces(tiny_folder: Path, own_home: Path) -> Iterator[Faces]:
    for name in OWN:
        tiny_family.write_avatar(own_home / "avatars" / name)
    with Engines.open(Manifest.load(tiny_folder), threads=1, without={"coefficients"}) as engines:
        yield Faces(engines)


def test_only_the_default_face_is_in_memory_at_first(faces: Faces) -> None:
    assert faces.names == [tiny_family.NAME, *OWN]
    assert list(faces.renderers) == [tiny_family.NAME]


def test_a_face_is_made_after_what_makes_it_was_released(faces: Faces) -> None:
    with pytest.raises(EngineError, match="not active"):
        faces.engines["appearance"].bind({})
    faces.add("able", faces.make("able"))
    windows = faces.open_stream("able", PipelineOptions()).push(np.zeros(SAMPLE_RATE, np.float32))
    assert faces.renderers["able"].render(windows[:1])[0].rgb.any()


@pytest.mark.slow
def test_faces_used_last_stay_in_memory(faces: Faces) -> None:
    for name in OWN[:KEPT]:
        faces.add(name, faces.make(name))
    assert list(faces.renderers) == list(OWN[:KEPT])
    assert not faces.use(tiny_family.NAME)
    assert faces.use(OWN[0])
    faces.add(OWN[KEPT], faces.make(OWN[KEPT]))
    assert list(faces.renderers) == [*OWN[2:KEPT], OWN[0], OWN[KEPT]]


def test_a_removed_face_is_offered_no_longer(faces: Faces, own_home: Path) -> None:
    faces.add("able", faces.make("able"))
    shutil.rmtree(own_home / "avatars" / "able")
    faces.remove("able")
    assert "able" not in faces.names
    assert not faces.use("able")
    with pytest.raises(BundleError, match="no avatar 'able'"):
        faces.make("able")


def test_a_damaged_face_is_left_out_with_a_warning(
    tiny_folder: Path, own_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tiny_family.write_avatar(own_home / "avatars" / "able")
    (own_home / "avatars" / "able" / "arrays.npz").write_bytes(b"PK")
    with Engines.open(Manifest.load(tiny_folder), threads=1, without={"coefficients"}) as engines:
        assert Faces(engines).names == [tiny_family.NAME]
    assert "avatar able is left out: " in caplog.text
