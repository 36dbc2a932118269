"""Who is the person in a portrait: measured on the bundled characters, whose outlines are known from their rig."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.manifest import Manifest
from engines.runtime import Engines
from streamer.avatar.backdrop import Backdrop
from streamer.avatar.bundle import Avatar
from streamer.avatar.bundle_files import MATTE as MATTE_FILE
from streamer.avatar.matte import load_matte
from streamer.avatar.matte_motion import MatteMotion
from streamer.cli.main import main
from streamer.core.errors import PhotoError
from streamer.core.frames import ByteArray, CoefficientWindow, FloatArray, Keypoints
from streamer.core.options import FaceOptions
from streamer.photo.prepare import PrepareOptions, prepare
from streamer.pipeline import FaceRenderer
from streamer.vision.matting import cut_out
from streamer.vision.matting_prior import FacePlace
from tests import DATA
from tests.fakes import faces

MANIFEST = Manifest.load(faces.STARTER)
FIRST_POSE = len(MANIFEST.coefficients.expression)
# Outlines of the turned rig, rendered: degrees of pitch, yaw, roll.
TURNED = {"kofi_yaw-8": (0, -8, 0), "kofi_roll6": (0, 0, 6), "mina_pitch6": (6, 0, 0), "mina_mix": (4, 6, -4)}


def true_matte(name: str) -> FloatArray:
    return load_matte(faces.STARTER / "avatars" / name, faces.portrait(name))


def overlap(one: FloatArray, other: FloatArray) -> float:
    """Intersection over union."""
    return float(((one > 0.5) & (other > 0.5)).sum() / ((one > 0.5) | (other > 0.5)).sum())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mina", "kofi"])
def test_a_person_is_cut_out(name: str) -> None:
    points = faces.keypoints(name)
    matte = cut_out(faces.portrait(name), points)
    assert matte.min() >= 0
    assert matte.max() <= 1
    assert (matte[FacePlace.of(points).inside(256)] == 1).all()
    assert (matte[:60, [0, 255]] == 0).all()
    assert overlap(matte, true_matte(name)) > 0.92
    head = slice(0, 200)
    assert overlap(matte[head], true_matte(name)[head]) > 0.97


@pytest.mark.slow
def test_the_face_is_found_without_landmarks_given() -> None:
    assert overlap(cut_out(faces.portrait("kofi")), true_matte("kofi")) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("picture", ["flat", "noise"])
def test_a_picture_that_tells_nothing_still_gives_a_face(picture: str) -> None:
    rng = np.random.default_rng(3)
    chaos = np.full((256, 256, 3), 90, np.uint8) if picture == "flat" else rng.integers(0, 256, (256, 256, 3), np.uint8)
    points = faces.keypoints("mina")
    matte = cut_out(chaos, points)
    assert (matte[FacePlace.of(points).inside(256)] == 1).all()
    assert np.isfinite(matte).all()


@pytest.mark.parametrize("name", list(TURNED))
def test_the_matte_follows_a_turned_head(starter: Engines, name: str) -> None:
    with np.load(DATA / "silhouettes.npz") as outlines:
        outline = np.unpackbits(outlines[name]).reshape(256, 256).astype(np.float32)
    who = name.split("_")[0]
    avatar = Avatar.load(starter, who)
    followed = MatteMotion(avatar.constants, 256).follow(true_matte(who), held(starter, avatar, TURNED[name]).points)
    assert overlap(followed, outline) > 0.97
    assert overlap(followed, outline) > overlap(true_matte(who), outline)


def test_points_that_do_not_move_leave_the_matte(starter: Engines) -> None:
    avatar = Avatar.load(starter, "mina")
    same = MatteMotion(avatar.constants, 256).follow(true_matte("mina"), avatar.constants["source_keypoints"][0])
    assert np.array_equal(same, true_matte("mina"))


def test_a_family_without_rigidity_moves_its_head_and_not_the_lower_edge() -> None:
    rng = np.random.default_rng(5)
    points = rng.uniform(-0.5, 0.5, (15, 3)).astype(np.float32)
    matte = np.zeros((64, 64), np.float32)
    matte[:, 24:40] = 1
    moved = MatteMotion({"source_keypoints": points}, 64).follow(matte, points + np.array([[0.125, 0, 0]], np.float32))
    assert np.array_equal(moved[30] > 0.5, np.roll(matte[30], 4) > 0.5)
    assert np.array_equal(moved[63] > 0.5, matte[63] > 0.5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mina", "kofi"])
def test_a_turned_face_is_whole_and_its_background_gone(starter: Engines, name: str) -> None:
    avatar = Avatar.load(starter, name)
    for pose in ((0, 0, 0), *TURNED.values()):
        keypoints = held(starter, avatar, pose)
        (frame,) = FaceRenderer(starter, avatar, FaceOptions(background="transparent", size=256)).render([window(pose)])
        face = FacePlace.of((keypoints.points[:478, :2] + 1) * 128)
        shrunk = cv2.erode(face.inside(256).astype(np.uint8), np.ones((9, 9))) > 0
        assert (frame.rgb[shrunk, 3] > 240).mean() > 0.99
        assert (frame.rgb[:100, [0, 255], 3] == 0).all()


def test_no_old_light_about_the_hair(starter: Engines) -> None:
    """Dark hair before a bright wall is as dark at its edge on black as within."""
    portrait, matte = faces.portrait("mina"), true_matte("mina")
    black = Backdrop(portrait, matte, "#000000").put(portrait)
    around = (matte > 0.02) & (matte < 0.98)
    around[180:] = False  # shoulders
    assert black[around].mean() < 0.45 * portrait[around].mean()


def window(pose: tuple[float, float, float]) -> CoefficientWindow:
    values = np.zeros((len(MANIFEST.coefficients), sum(MANIFEST.stage("motion").context) + 1), np.float32)
    values[FIRST_POSE : FIRST_POSE + 3] = np.array(pose, np.float32)[:, None]
    return CoefficientWindow(0, values)


def held(engines: Engines, avatar: Avatar, pose: tuple[float, float, float]) -> Keypoints:
    from streamer.stages.motion import MotionStage

    return MotionStage(engines["motion"], avatar).infer([window(pose)])[0]


def photo_of_kofi(path: Path, opacity: ByteArray | None = None) -> Path:
    """Kofi with some room about him; his opacity as told."""
    room = (40, 0, 60, 60)
    wide = np.asarray(cv2.copyMakeBorder(faces.portrait("kofi"), *room, cv2.BORDER_REPLICATE), np.uint8)
    if opacity is not None:
        wide = np.dstack([wide, cv2.copyMakeBorder(opacity, *room, cv2.BORDER_REPLICATE)])
    code = cv2.COLOR_RGB2BGR if opacity is None else cv2.COLOR_RGBA2BGRA
    cv2.imwrite(str(path), cv2.cvtColor(wide, code))
    return path


def prepared_matte(photo: Path, matte: Path | None = None) -> tuple[ByteArray, FloatArray]:
    folder = prepare(MANIFEST, PrepareOptions(photo, "me", matte=matte, force=True)).folder
    portrait = faces.load(folder / "portrait.png")
    assert (folder / MATTE_FILE).is_file()
    return portrait, load_matte(folder, portrait)


def test_a_photo_that_is_cut_out_already_is_believed(tmp_path: Path) -> None:
    """One with a hole in the shirt, which no cutting out would make."""
    opacity = np.asarray(true_matte("kofi") * 255, np.uint8)
    opacity[225:250, 100:150] = 0
    portrait, matte = prepared_matte(photo_of_kofi(tmp_path / "a.png", opacity))
    assert matte.min() == 0
    assert matte[228:246, 118:138].max() < 0.1
    assert (np.abs(portrait[matte == 0].astype(int) - 236) < 12).mean() > 0.95  # laid on the plain backdrop, as ever


def test_a_matte_may_come_with_the_photo(tmp_path: Path) -> None:
    white = np.full((148, 188), 255, np.uint8)  # half the photo's size
    white[:, :20] = 0
    cv2.imwrite(str(tmp_path / "matte.png"), white)
    _, matte = prepared_matte(photo_of_kofi(tmp_path / "a.png"), tmp_path / "matte.png")
    assert matte[:, 60:].min() == 1


@pytest.mark.parametrize(
    ("matte", "message"),
    [
        (np.full((100, 100), 255, np.uint8), "100x100 pixels, the photo 376x296; expected the same proportions"),
        (np.zeros((296, 376), np.uint8), "leaves out the face; expected the person in white, the rest in black"),
    ],
)
def test_a_matte_that_does_not_fit_is_refused(tmp_path: Path, matte: ByteArray, message: str) -> None:
    cv2.imwrite(str(tmp_path / "matte.png"), matte)
    with pytest.raises(PhotoError, match=message):
        prepared_matte(photo_of_kofi(tmp_path / "a.png"), tmp_path / "matte.png")


@pytest.mark.slow
def test_transparency_that_leaves_out_the_face_is_not_a_matte(tmp_path: Path) -> None:
    opacity = np.full((256, 256), 255, np.uint8)
    opacity[:, 128:] = 0
    _, matte = prepared_matte(photo_of_kofi(tmp_path / "a.png", opacity))
    assert matte[95:140, 100:155].min() == 1


def test_the_command_takes_a_matte(tmp_path: Path, own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = photo_of_kofi(tmp_path / "a.png")
    cv2.imwrite(str(tmp_path / "matte.png"), np.full((296, 376), 255, np.uint8))
    assert main(["prepare", str(photo), "--name", "me", "--matte", str(tmp_path / "matte.png")]) == 0
    grey = cv2.imread(str(own_home / "avatars" / "me" / MATTE_FILE), cv2.IMREAD_GRAYSCALE)
    assert grey is not None
    assert grey.min() == 255
    assert main(["prepare", str(photo), "--name", "you", "--matte", str(tmp_path / "none.png")]) == 2
    assert capsys.readouterr().err.endswith("none.png: no such file\n")
