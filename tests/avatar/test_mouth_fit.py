"""Mouths speak alike: the same units open every face's lips as far, and f lays the lip at the teeth."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines.runtime import Engines
from streamer.avatar.bundle import Avatar, open_rasterizer
from streamer.avatar.bundle_files import ARRAYS, read_arrays, write_arrays
from streamer.avatar.catalogue import find_avatar
from streamer.avatar.mouth_fit import OPEN, OPENNESS, TUCKED, YIELDS, fit_mouth
from streamer.core.frames import CoefficientWindow, FloatArray
from streamer.stages.motion import MotionStage

CHARACTERS = ("mina", "kofi", "pia", "leo")
UPPER, LOWER, CORNERS = 13, 14, (61, 291)


def spoken(starter: Engines, avatar: Avatar, posture: dict[str, float]) -> tuple[FloatArray, float]:
    """Keypoints of lips that have been speaking for a while, and the mouth's width."""
    names = starter.manifest.coefficients.expression
    values = np.zeros((len(starter.manifest.coefficients), 3), np.float32)
    for row, name in enumerate(names):
        values[row] = posture.get(name.removesuffix("Left").removesuffix("Right"), 0.0)
    window = CoefficientWindow(0, values, busy=np.ones(3, np.float32))
    points = MotionStage(starter["motion"], avatar).infer([window])[0].points
    return points, float(np.linalg.norm(points[CORNERS[0], :2] - points[CORNERS[1], :2]))


@pytest.mark.slow
@pytest.mark.parametrize("name", CHARACTERS)
def test_lips_open_as_far_on_every_face(starter: Engines, name: str) -> None:
    points, width = spoken(starter, Avatar.load(starter, name), OPEN)
    assert (points[LOWER, 1] - points[UPPER, 1]) / width == pytest.approx(OPENNESS, abs=0.01)


@pytest.mark.parametrize("name", CHARACTERS)
def test_in_an_f_the_lower_lip_lies_at_the_upper_teeth(starter: Engines, name: str) -> None:
    points, width = spoken(starter, Avatar.load(starter, name), TUCKED)
    rasterizer = open_rasterizer(starter.manifest.stage("render"))
    assert rasterizer is not None
    edge = points[rasterizer.topology.teeth[0, 4:6].ravel(), 1].max()
    assert abs(points[LOWER, 1] - edge) / width < 0.02


def test_a_bundle_that_does_not_tell_its_smile_is_fitted_and_keeps_it(starter: Engines, tmp_path: Path) -> None:
    """As those that were made before bundles told it."""
    info = find_avatar(starter.manifest, "pia")
    shutil.copytree(info.folder, tmp_path / "pia")
    arrays = read_arrays(info.folder / ARRAYS)
    del arrays["resting"]
    write_arrays(tmp_path / "pia" / ARRAYS, arrays)
    old = Avatar.open(starter, replace(info, folder=tmp_path / "pia"))
    points, width = spoken(starter, old, OPEN)
    _, narrower = spoken(starter, Avatar.load(starter, "pia"), OPEN)
    assert not old.constants[YIELDS].any()
    assert width > 1.05 * narrower, "lips that smile are wider"
    assert (points[LOWER, 1] - points[UPPER, 1]) / width == pytest.approx(OPENNESS, abs=0.07)  # gains have limits


def test_arrays_that_do_not_fit_are_left_to_the_one_who_binds_them(starter: Engines) -> None:
    rasterizer = open_rasterizer(starter.manifest.stage("render"))
    assert rasterizer is not None
    names = starter.manifest.coefficients.expression
    good = read_arrays(find_avatar(starter.manifest, "mina").folder / ARRAYS)
    for name in ("neutral", "basis"):
        assert fit_mouth(good | {name: good[name][:5]}, names, rasterizer.topology) == {}
    assert fit_mouth({}, names, rasterizer.topology) == {}
