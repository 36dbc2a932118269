"""Avatars for the official family (narrow, stand-in weights): coefficients, keypoints, modes, and the whole picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from engines.manifest import Manifest
from engines.runtime import Engines
from streamer.avatar.bundle_files import WHOLE as WHOLE_FILE
from streamer.avatar.catalogue import MODES, WHOLE_MODES
from streamer.avatar.paste import PasteBack
from streamer.core.errors import PhotoError
from streamer.core.frames import ByteArray
from streamer.photo import sadtalker_crop
from streamer.photo.prepare import PrepareOptions, prepare
from streamer.pipeline import Avatar
from streamer.render.from_sound import RenderOptions, render_file
from streamer.vision.landmarks import Landmarker
from tests.fakes import faces
from tests.fakes.sound import write_wav

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Mina in front of more of her wall, as a photo."""
    wider = cv2.copyMakeBorder(faces.portrait("mina"), 40, 0, 80, 60, cv2.BORDER_REPLICATE)
    return faces.save(tmp_path / "mina.png", np.asarray(wider, np.uint8))


@pytest.fixture(scope="module")
def official(narrow_folder: Path) -> Iterator[Engines]:
    with Engines.open(Manifest.load(narrow_folder), threads=1) as engines:
        yield engines


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_makes_an_avatar_that_loads(
    own_home: Path, photo: Path, official: Engines, landmarker: Landmarker, mode: str
) -> None:
    manifest = official.manifest
    made = prepare(manifest, PrepareOptions(photo, "me", mode=mode))
    with np.load(made.folder / "arrays.npz") as arrays:
        reference, keypoints = arrays["reference"], arrays["source_keypoints"]
    assert reference.shape == (1, 73)
    assert keypoints.shape == (1, 15, 3)
    avatar = Avatar.load(official, "me")
    assert avatar.info.mode == mode
    # The coefficients are the network's, of this face, in the layout's order.
    picture = faces.load(made.folder / "portrait.png")
    (face,) = landmarker.find(picture)
    planes, cut_out = sadtalker_crop.face_input(picture, face.points)
    values = official["coefficients"].infer({"face": planes})["coefficients"][0]
    expected = np.concatenate([values[80:144], values[224:227], values[254:257], cut_out])
    # Landmarks read off the smaller picture are not quite those of the photo.
    np.testing.assert_allclose(reference[0], expected, atol=0.1 * np.abs(expected).max())
    # At the portrait's own coefficients, the motion stage moves nothing.
    stage = official[avatar.motion_stage]
    rows = int(stage.spec.inputs["coefficients"].shape[1])
    assert rows == (73 if mode in WHOLE_MODES else 70)
    still = np.zeros((1, 3), np.float32)
    held = {"coefficients": np.repeat(reference[:, :rows, None], 27, 2), "view": still, "view_on": still}
    moved = stage.infer(held | avatar.constants_of(stage.spec))["keypoints"]
    np.testing.assert_allclose(moved, keypoints, atol=1e-4)
    assert (made.folder / WHOLE_FILE).exists() == (mode in WHOLE_MODES)


def frames(path: Path) -> list[ByteArray]:
    with av.open(str(path)) as video:
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in video.decode(video=0)]


def test_a_whole_photo_speaks_without_being_prepared(
    own_home: Path, photo: Path, official: Engines, tmp_path: Path
) -> None:
    write_wav(tmp_path / "speech.wav", np.zeros(3 * 640, np.float32))
    options = RenderOptions(
        audio=tmp_path / "speech.wav", out=tmp_path / "out.mp4", avatar=str(photo), photo_mode="full"
    )
    render_file(official.manifest, options)
    made = frames(tmp_path / "out.mp4")
    assert len(made) == 3
    height, width = made[0].shape[:2]  # scaled down, as the family's frames are small
    whole = cv2.resize(faces.load(photo), (width, height), interpolation=cv2.INTER_AREA)
    assert width / height == pytest.approx(396 / 296, rel=0.01)
    assert np.abs(made[0][:, :20].astype(float) - whole[:, :20]).mean() < 6  # what H.264 costs
    assert not (own_home / "avatars").exists()


def test_frames_are_pasted_where_they_were_cut_out(own_home: Path, photo: Path, official: Engines) -> None:
    made = prepare(official.manifest, PrepareOptions(photo, "me", mode="extfull"))
    paste = PasteBack.of(Avatar.load(official, "me"))
    assert paste is not None
    picture = faces.load(made.folder / "portrait.png")
    whole = cv2.resize(faces.load(photo), paste.size, interpolation=cv2.INTER_AREA)
    assert np.abs(paste.paste(picture).astype(float) - whole).mean() < 3


def test_a_face_lost_in_a_resized_scene_is_one_line(own_home: Path, tmp_path: Path, official: Engines) -> None:
    scene = np.full((1800, 1800, 3), 140, np.uint8)
    scene[800:900, 800:900] = faces.portrait("mina", 100)
    path = faces.save(tmp_path / "scene.png", scene)
    with pytest.raises(
        PhotoError, match=r"in mode resize the face is [12] pixels from eye to eye.*use mode crop or full"
    ):
        prepare(official.manifest, PrepareOptions(path, "me", mode="resize"))
    prepare(official.manifest, PrepareOptions(path, "me"))
