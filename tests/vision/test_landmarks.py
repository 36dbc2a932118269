"""Faces are found, and their points lie where they are known to be, in rendered people whose points are exact."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from engines import landmarks
from engines.errors import EngineError
from engines.runtime import BACKEND_VARIABLE, find_cpu_backend
from streamer.core.frames import ByteArray
from streamer.vision.landmarks import LEFT_IRIS, POINTS, RIGHT_IRIS, Face, Landmarker
from tests.conftest import BACKENDS
from tests.fakes import faces

pytestmark = pytest.mark.slow

INNER = [33, 133, 159, 145, 362, 263, 386, 374, 61, 291, 13, 14, 0, 17, 4, RIGHT_IRIS, LEFT_IRIS]


def error(face: Face, expected: np.ndarray, chosen: list[int] | slice = slice(0, 468)) -> float:
    """Median distance in % of the eye distance."""
    away = np.linalg.norm(face.points[:, :2] - expected, axis=1)[chosen]
    return float(np.median(away) / face.eye_distance * 100)


@pytest.mark.parametrize("name", ["mina", "kofi"])
@pytest.mark.parametrize("size", [128, 256, 900])
def test_points_lie_where_the_rig_has_them(landmarker: Landmarker, name: str, size: int) -> None:
    (face,) = landmarker.find(faces.portrait(name, size))
    assert face.points.shape == (POINTS, 3)
    assert error(face, faces.keypoints(name, size)) < 6.0
    assert error(face, faces.keypoints(name, size), INNER) < 6.0


def test_a_leaning_head(landmarker: Landmarker) -> None:
    table = cv2.getRotationMatrix2D((128, 128), 25, 1.0)
    leaning = np.asarray(cv2.warpAffine(faces.portrait("mina"), table, (256, 256), borderValue=(90, 90, 90)), np.uint8)
    (face,) = landmarker.find(leaning)
    assert error(face, faces.keypoints("mina") @ table[:, :2].T + table[:, 2]) < 6.0


def test_a_small_face_in_a_large_picture(landmarker: Landmarker) -> None:
    picture = np.full((1600, 2400, 3), 150, np.uint8)
    picture[900:1010, 1700:1810] = faces.portrait("mina", 110)
    (face,) = landmarker.find(picture)
    assert error(face, faces.keypoints("mina", 110) + np.array([1700, 900])) < 8.0


def test_several_faces_come_largest_first(landmarker: Landmarker) -> None:
    found = landmarker.find(faces.side_by_side(faces.portrait("mina", 200), faces.portrait("kofi", 320)))
    assert [round(float(face.points[:, 0].mean()) / 100) for face in found] == [4, 1]


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((300, 200, 3), np.uint8),
        np.full((64, 900, 3), 255, np.uint8),
        np.random.default_rng(1).integers(0, 255, (120, 120, 3), np.uint8),
    ],
)
def test_a_picture_without_a_face_has_none(landmarker: Landmarker, picture: ByteArray) -> None:
    assert landmarker.find(picture) == []


@pytest.mark.parametrize("name", landmarks.MODELS)
def test_both_engines_agree(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for backend in BACKENDS:
        pytest.importorskip(backend)
        monkeypatch.setenv(BACKEND_VARIABLE, backend)
        model = landmarks.open_model(name, threads=1)
        side = model.spec.inputs["picture"].shape[1]
        assert isinstance(side, int)
        results.append(model.infer({"picture": (faces.portrait("kofi", side)[None] / 255).astype(np.float32)}))
    for output, values in results[0].items():
        np.testing.assert_allclose(values, results[1][output], atol=0.02)


def test_an_engine_for_a_gpu_leaves_the_landmarks_to_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BACKEND_VARIABLE, "tensorrt")
    assert find_cpu_backend().name in BACKENDS


def test_an_unknown_engine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BACKEND_VARIABLE, "abacus")
    with pytest.raises(EngineError, match="unknown engine abacus"):
        landmarks.open_model("mesh")


def test_a_face_is_followed_from_one_picture_to_the_next_and_lost_where_it_is_gone(landmarker: Landmarker) -> None:
    before, moved = faces.portrait("mina"), np.roll(faces.portrait("mina"), (4, 6), axis=(0, 1))
    (face,) = landmarker.find(before)
    points = landmarker.follow(moved, face.points)
    assert points is not None
    assert np.median(np.abs(points[:, :2] - face.points[:, :2] - (6, 4))) < 1.5
    assert landmarker.follow(np.full_like(before, 120), face.points) is None
