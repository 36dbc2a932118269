"""The fit finds the face that made the landmarks; at rest its lips touch, in a blink its lids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.manifest import Manifest
from streamer.avatar.condition_maps import Topology
from streamer.core.errors import AvatarError
from streamer.core.frames import FloatArray
from streamer.photo.head_square import Square
from streamer.photo.rig_constants import LEFT_LIDS_RING, LIPS_RING, RIGHT_LIDS_RING, Arrays, face_model, facing
from streamer.photo.rig_fit import CAMERA, FaceFit, FaceRig, fit_face
from streamer.vision.landmarks import POINTS
from tests.fakes.faces import STARTER

MANIFEST = Manifest.load(STARTER)
NAMES = MANIFEST.coefficients.expression
SCALE, MIDDLE = 100.0, np.array([320.0, 240.0])
SQUARE = Square(320, 268, 130)


@pytest.fixture(scope="module")
def rig() -> FaceRig:
    path = MANIFEST.stage("coefficients").rig
    assert path is not None
    return FaceRig.load(path)


@pytest.fixture(scope="module")
def topology() -> Topology:
    path = MANIFEST.stage("render").conditions
    assert path is not None
    return Topology.load(path)


def units(**values: float) -> FloatArray:
    """Strengths by name; a name without a side is both."""
    wanted = {side: value for name, value in values.items() for side in (name, f"{name}Left", f"{name}Right")}
    return np.array([wanted.get(name, 0.0) for name in NAMES], np.float32)


def landmarks(rig: FaceRig, expression: FloatArray, degrees: float = 0.0, seed: int = 3) -> FloatArray:
    """What a landmark model sees of one of the rig's people, turned by yaw."""
    codes = np.random.default_rng(seed).normal(size=len(rig.shapes)).astype(np.float32) * 0.7
    face = rig.mean + np.einsum("s,skc->kc", codes, rig.shapes) + np.einsum("u,ukc->kc", expression, rig.units)
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    turned = (face[:POINTS] + rig.landmarks) @ turn.T
    return np.asarray(turned[:, :2] / (1 - turned[:, 2:] / CAMERA) * SCALE + MIDDLE, np.float32)


def model(rig: FaceRig, topology: Topology, seen: FloatArray) -> tuple[FaceFit, Arrays]:
    fit = fit_face(rig, NAMES, seen)
    return fit, face_model(fit, NAMES, topology, seen, SQUARE, MANIFEST.size)


def gap(points: FloatArray, ring: tuple[int, ...]) -> FloatArray:
    """Signed distance of the lower from the upper edge, in halves of the picture."""
    upper, lower = zip(*facing(ring), strict=True)
    return np.asarray(points[list(lower), 1] - points[list(upper), 1])


@pytest.mark.parametrize("yaw", [-20.0, 0.0, 12.0])
def test_the_fit_finds_pose_size_and_expression(rig: FaceRig, yaw: float) -> None:
    seen = landmarks(rig, units(jawOpen=0.3, mouthSmile=0.4), yaw)
    fit = fit_face(rig, NAMES, seen)
    assert np.degrees(np.arctan2(fit.rotation[0, 2], fit.rotation[2, 2])) == pytest.approx(yaw, abs=2.5)
    assert fit.scale == pytest.approx(SCALE, rel=0.04)
    strengths = dict(zip(NAMES, fit.strengths, strict=True))
    assert strengths["jawOpen"] == pytest.approx(0.3, abs=0.12)
    assert strengths["mouthSmileLeft"] == pytest.approx(0.4, abs=0.2)
    face = fit.shape + np.einsum("u,ukc->kc", fit.strengths, rig.units)
    away = np.linalg.norm(fit.place(face[:POINTS] + rig.landmarks)[:, :2] - seen, axis=1)
    assert np.median(away) < 0.015 * 53  # of the eye distance


def test_the_photo_s_keypoints_are_its_landmarks_less_the_calibration(rig: FaceRig, topology: Topology) -> None:
    seen = landmarks(rig, units(mouthSmile=0.3))
    _, arrays = model(rig, topology, seen)
    pixels = arrays["source_keypoints"][:POINTS, :2] * SQUARE.half + (SQUARE.x, SQUARE.y)
    expected = seen - rig.landmarks[:, :2] * SCALE
    assert np.linalg.norm(pixels - expected, axis=1).max() < 1.0


@pytest.mark.parametrize("opened", [0.0, 0.15, 0.5])
def test_at_rest_the_lips_touch_whatever_the_photo(rig: FaceRig, topology: Topology, opened: float) -> None:
    expression = units(jawOpen=opened, mouthUpperUp=opened, mouthLowerDown=opened)
    _, arrays = model(rig, topology, landmarks(rig, expression))
    assert np.abs(gap(arrays["neutral"], LIPS_RING)).max() < 3.0 / 128
    assert np.abs(gap(arrays["neutral"], LIPS_RING)).mean() < 1.2 / 128
    if opened:
        assert gap(arrays["source_keypoints"], LIPS_RING)[4] > 4.0 / 128


@pytest.mark.parametrize("wide", [0.0, 0.8])
def test_a_blink_shuts_the_eyes(rig: FaceRig, topology: Topology, wide: float) -> None:
    _, arrays = model(rig, topology, landmarks(rig, units(eyeWide=wide)))
    shut = arrays["neutral"] + np.einsum("u,ukc->kc", units(eyeBlink=1.0), arrays["basis"])
    for ring in (RIGHT_LIDS_RING, LEFT_LIDS_RING):
        assert gap(arrays["neutral"], ring).mean() > 4 / 128
        assert np.abs(gap(shut, ring)).mean() < 1.5 / 128


def test_the_upper_teeth_hang_behind_the_lips(rig: FaceRig, topology: Topology) -> None:
    _, arrays = model(rig, topology, landmarks(rig, units(), seed=5))
    neutral = arrays["neutral"]
    width = np.linalg.norm(neutral[61] - neutral[291])
    edge = neutral[topology.teeth[0, 4:6].ravel(), 1].max()
    assert 0.03 < (edge - neutral[[13, 14], 1].mean()) / width < 0.14
    assert neutral[topology.teeth[0].ravel(), 2].max() < neutral[13, 2]


def test_windows_lie_about_eyes_and_mouth_and_inside(rig: FaceRig, topology: Topology) -> None:
    _, arrays = model(rig, topology, landmarks(rig, units()))
    pixels = (arrays["source_keypoints"][:, :2] + 1) * 128
    for (top, left), ring in zip(arrays["windows"], ((33, 263, 159, 145), LIPS_RING), strict=True):
        assert (top % 8, left % 8) == (0, 0)
        assert 0 <= top <= 256 - rig.window[0]
        assert 0 <= left <= 256 - rig.window[1]
        inside = (pixels[list(ring)] - (left, top)) / rig.window[::-1]
        assert inside.min() > 0.05
        assert inside.max() < 0.95


def test_a_rig_of_other_shapes_is_one_line(rig: FaceRig, tmp_path: Path) -> None:
    arrays = {name: getattr(rig, name) for name in FaceRig.__dataclass_fields__}
    np.savez(tmp_path / "rig.npz", allow_pickle=False, **(arrays | {"units": rig.units[:, :700]}))
    with pytest.raises(AvatarError, match=r"units is \[52, 700, 3\], expected \[52, 754, 3\]"):
        FaceRig.load(tmp_path / "rig.npz")


def test_a_rig_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "rig.npz"
    path.write_bytes(b"not a rig")
    with pytest.raises(AvatarError, match=r"not an \.npz file"):
        FaceRig.load(path)
