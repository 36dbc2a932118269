"""The official family's crops: hand-worked squares, and a face whose pose is known."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from streamer.core.frames import FloatArray
from streamer.photo import sadtalker_crop
from streamer.photo.sadtalker_crop import FACE_SCALE, FIVE_POINTS, LEFT_EYE, RIGHT_EYE, STANDARD_FACE, Box, crop_box
from tests.fakes import faces


def face(eyes: tuple[float, float], apart: float, mouth_down: float) -> FloatArray:
    """Landmarks of an upright face, by the middle of its eyes, their distance and how far below the mouth is."""
    points = np.zeros((478, 3), np.float32)
    x, y = eyes
    points[list(RIGHT_EYE), :2] = (x - apart / 2, y)
    points[list(LEFT_EYE), :2] = (x + apart / 2, y)
    points[[1, 4], :2] = (x, y + mouth_down * 0.55)
    points[61, :2], points[291, :2] = (x - apart * 0.4, y + mouth_down), (x + apart * 0.4, y + mouth_down)
    return points


def test_the_aligned_square() -> None:
    # Eyes 100 apart: half a side is 2.0 * 100; the middle lies a tenth of the way down to the mouth.
    quad, side = sadtalker_crop.aligned_quad(face((500, 400), 100, 90))
    assert side == pytest.approx(400)
    np.testing.assert_allclose(quad.min(0), (300, 209))
    np.testing.assert_allclose(quad.max(0), (700, 609))


def test_a_long_face_is_measured_by_eyes_to_mouth() -> None:
    _, side = sadtalker_crop.aligned_quad(face((500, 400), 100, 150))
    assert side == pytest.approx(2 * 1.8 * 150)


def test_modes() -> None:
    points = face((500, 400), 100, 90)
    assert crop_box("crop", points, 1000, 900) == Box(300, 209, 700, 609)
    assert crop_box("full", points, 1000, 900) == Box(300, 209, 700, 609)
    assert crop_box("extcrop", points, 1000, 900) == Box(260, 169, 740, 649)
    assert crop_box("extfull", points, 1000, 900) == Box(260, 169, 740, 649)
    assert crop_box("resize", points, 1000, 900) == Box(0, 0, 1000, 900)


def test_a_box_ends_at_the_picture() -> None:
    assert crop_box("crop", face((120, 80), 100, 90), 300, 200) == Box(0, 0, 300, 200)


def test_the_five_points_are_the_68_point_scheme_s() -> None:
    points = np.zeros((478, 3), np.float32)
    for number, chosen in enumerate(FIVE_POINTS):
        points[list(chosen), :2] = (number, 2 * number)
    np.testing.assert_allclose(sadtalker_crop.five_points(points), [[n, 2 * n] for n in range(5)])


def test_pose_is_solved_exactly() -> None:
    points = STANDARD_FACE[:, :2] * 85.0 + (130.0, 140.0)
    offset, scale = sadtalker_crop.solve_pose(points)
    np.testing.assert_allclose(offset, (130, 140))
    assert scale == pytest.approx(FACE_SCALE / 85)


def test_the_face_input_is_centred_and_scaled() -> None:
    """Five marks where the standard face has its points, in a 256 picture, land where 102 pixels a unit put them."""
    picture = np.zeros((256, 256, 3), np.uint8)
    points = np.zeros((478, 3), np.float32)
    places = STANDARD_FACE[:, :2] * 80.0 * (1, -1) + (120.0, 131.0)
    for chosen, place in zip(FIVE_POINTS, places, strict=True):
        points[list(chosen), :2] = place
        x, y = place.round().astype(int)
        picture[y - 2 : y + 3, x - 2 : x + 3] = 255
    planes, cut_out = sadtalker_crop.face_input(picture, points)
    assert planes.shape == (1, 3, 224, 224)
    np.testing.assert_allclose(cut_out, (FACE_SCALE / 80, 120, 256 - 1 - 131), rtol=1e-5)
    for x, y in STANDARD_FACE[:, :2] * FACE_SCALE * (1, -1) + (112, 112):
        spot = planes[0, 0, round(y) - 6 : round(y) + 7, round(x) - 6 : round(x) + 7]
        rows, columns = np.indices(spot.shape)
        assert spot.max() > 0.9
        middle = [(spot * place).sum() / spot.sum() - 6 for place in (rows, columns)]
        assert np.abs(middle).max() < 1.6


@pytest.mark.parametrize("size", [41.3, 83.7, 171.1])
def test_the_face_input_is_a_cut_of_the_resized_picture(size: float) -> None:
    """As the reference does it: resize all of the picture, then cut; what lies beyond the picture is black."""
    picture = np.asarray(Image.fromarray(faces.portrait("mina")).resize((300, 260)), np.uint8)
    points = np.zeros((478, 3), np.float32)
    places = STANDARD_FACE[:, :2] * size * (1, -1) + (120.0, 131.0)
    for chosen, place in zip(FIVE_POINTS, places, strict=True):
        points[list(chosen), :2] = place
    planes, (scale, x, y) = sadtalker_crop.face_input(picture, points)
    across, down = int(300 * scale), int(260 * scale)
    left, top = int(across / 2 - 112 + (x - 150) * scale), int(down / 2 - 112 + (130 - y) * scale)
    whole = Image.fromarray(picture).resize((across, down), Image.Resampling.BICUBIC)
    expected = np.asarray(whole.crop((left, top, left + 224, top + 224)), np.float32) / 255
    found = planes[0].transpose(1, 2, 0)
    np.testing.assert_allclose(found, expected, atol=2.1 / 255)  # Pillow rounds twice, after rows and after columns
    assert np.abs(found - expected).mean() < 0.5 / 255


def test_landmarks_follow_a_box_whose_proportions_change() -> None:
    moved = Box(100, 50, 300, 150).to_picture(
        np.array([[100.0, 50.0], [300.0, 150.0], [200.0, 100.0]], np.float32), 256
    )
    np.testing.assert_allclose(moved, [[0, 0], [256, 256], [128, 128]])
