"""Which face of a photo is taken, and what is said of photos that no avatar can be made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engines.manifest import Manifest
from engines.runtime import Engines
from streamer.core.errors import PhotoError
from streamer.core.frames import CoefficientWindow
from streamer.photo.portrait import check_face, head_angles, read_portrait
from streamer.photo.rig_fit import FaceRig
from streamer.pipeline import Avatar, FaceRenderer
from streamer.vision.face_detector import Detection
from streamer.vision.landmarks import POINTS, Face, Landmarker
from tests.fakes import faces


def test_one_face_is_taken_without_a_word(landmarker: Landmarker, tmp_path: Path) -> None:
    portrait = read_portrait(faces.save(tmp_path / "a.png", faces.portrait("mina")), landmarker)
    assert portrait.notes == []
    assert portrait.picture.shape == (256, 256, 3)
    yaw, _, roll = head_angles(portrait.landmarks)
    assert max(abs(yaw), abs(roll)) < 3


@pytest.mark.slow
def test_two_people_are_counted_and_can_be_chosen(landmarker: Landmarker, tmp_path: Path) -> None:
    path = faces.save(tmp_path / "us.png", faces.side_by_side(faces.portrait("mina"), faces.portrait("kofi")))
    with pytest.raises(
        PhotoError, match=r"us.png: 2 faces found; choose one with --face 1 \(the leftmost\) to --face 2"
    ):
        read_portrait(path, landmarker)
    for chosen, middle in ((1, 128), (2, 384)):
        assert read_portrait(path, landmarker, chosen).landmarks[:, 0].mean() == pytest.approx(middle, abs=40)
    with pytest.raises(PhotoError, match="face 3 asked for, 2 faces found"):
        read_portrait(path, landmarker, 3)


def test_a_clear_main_face_is_taken_with_a_note(landmarker: Landmarker, tmp_path: Path) -> None:
    crowd = faces.side_by_side(faces.portrait("mina", 100), faces.portrait("kofi", 300))
    portrait = read_portrait(faces.save(tmp_path / "a.png", crowd), landmarker)
    assert portrait.landmarks[:, 0].mean() == pytest.approx(250, abs=40)
    assert portrait.notes == ["2 faces found; took the largest, --face 2 from the left"]


def test_a_face_cut_off(landmarker: Landmarker, tmp_path: Path) -> None:
    path = faces.save(tmp_path / "a.png", np.ascontiguousarray(faces.portrait("mina", 512)[:, :280]))
    with pytest.raises(PhotoError, match="cut off by the photo's edge"):
        read_portrait(path, landmarker)


def from_the_side(degrees: float) -> Face:
    """What landmarks would be of a face turned so far, in a picture of 600 x 600."""
    path = Manifest.load(faces.STARTER).stage("coefficients").rig
    assert path is not None
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    turned = (FaceRig.load(path).mean[:POINTS] @ turn.T).astype(np.float32)
    points = np.concatenate([turned[:, :2] * 200 + 300, turned[:, 2:] * -200], 1)
    return Face(points, 1.0, Detection(0.9, np.array([200, 200, 400, 400], np.float32), points[:6, :2]))


def test_a_face_from_the_side() -> None:
    assert check_face(Path("a.png"), from_the_side(10), 600, 600) == []
    assert "turned by about 3" in check_face(Path("a.png"), from_the_side(-33), 600, 600)[0]
    with pytest.raises(PhotoError, match=r"a.png: the face is seen from the side, turned by about (59|60|61) degrees"):
        check_face(Path("a.png"), from_the_side(60), 600, 600)


def test_shut_eyes_are_noted() -> None:
    face = from_the_side(0)
    for upper, lower in ((159, 145), (386, 374)):
        face.points[upper, :2] = face.points[lower, :2] - np.array([0, 1], np.float32)
    (note,) = check_face(Path("a.png"), face, 600, 600)
    assert note.startswith("the eyes look closed")


def test_an_open_mouth_is_noted(landmarker: Landmarker, starter: Engines, tmp_path: Path) -> None:
    layout = starter.manifest.coefficients
    values = np.zeros((len(layout), 3), np.float32)
    values[[layout.expression.index(name) for name in ("jawOpen", "mouthLowerDownLeft", "mouthLowerDownRight")]] = 1.0
    caught = FaceRenderer(starter, Avatar.load(starter, "mina")).render([CoefficientWindow(0, values)])[0].rgb
    (note,) = read_portrait(faces.save(tmp_path / "a.png", caught), landmarker).notes
    assert note.startswith("the mouth is open")


def test_a_photo_without_a_face(landmarker: Landmarker, tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match=r"a.png: no human face found"):
        read_portrait(faces.save(tmp_path / "a.png", np.full((90, 120, 3), 99, np.uint8)), landmarker)


def test_a_tiny_face(landmarker: Landmarker, tmp_path: Path) -> None:
    picture = np.full((120, 120, 3), 150, np.uint8)
    picture[30:90, 30:90] = faces.portrait("mina", 60)
    with pytest.raises(PhotoError, match=r"too small, 1[0-9] pixels between the eyes; expected at least 16"):
        read_portrait(faces.save(tmp_path / "a.png", picture), landmarker)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_photo_on_its_side_is_turned_upright(landmarker: Landmarker, tmp_path: Path, quarters: int) -> None:
    path = faces.save(tmp_path / "a.png", np.ascontiguousarray(np.rot90(faces.portrait("kofi"), quarters)))
    portrait = read_portrait(path, landmarker)
    assert len(portrait.notes) == 1
    assert "turned" in portrait.notes[0]
    eyes = (portrait.landmarks[[33, 133], :2].mean(0), portrait.landmarks[[362, 263], :2].mean(0))
    assert eyes[1][0] - eyes[0][0] > 30
    assert portrait.landmarks[152, 1] > eyes[0][1] + 50


def test_a_leaning_head_is_straightened(landmarker: Landmarker, tmp_path: Path) -> None:
    leaning = Image.fromarray(faces.portrait("mina")).rotate(30, Image.Resampling.BICUBIC, fillcolor=(90, 90, 90))
    leaning.save(tmp_path / "a.png")
    portrait = read_portrait(tmp_path / "a.png", landmarker)
    assert abs(head_angles(portrait.landmarks)[2]) < 3
    assert portrait.notes == ["the head leans by 30 degrees; the picture was turned upright"]


@pytest.mark.parametrize(("presence", "score"), [(0.92, 0.9), (1.0, 0.6)])
def test_a_monkey_gets_a_remark(presence: float, score: float) -> None:
    person = from_the_side(0)
    monkey = replace(person, presence=presence, detection=replace(person.detection, score=score))
    assert not any("hardly a human face" in note for note in check_face(Path("a.jpg"), person, 600, 600))
    assert any("hardly a human face" in note for note in check_face(Path("a.jpg"), monkey, 600, 600))


def test_a_pattern_hardly_like_a_face_is_refused() -> None:
    with pytest.raises(PhotoError, match=r"a\.jpg: no human face found"):
        check_face(Path("a.jpg"), replace(from_the_side(0), presence=0.7), 600, 600)
