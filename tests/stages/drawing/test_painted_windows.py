"""A window's motion is told from its keypoints, and what of it is no motion of the head."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.manifest import StageSpec
from engines.runtime import Engines
from streamer.avatar.bundle import Avatar
from streamer.core.errors import AvatarError
from streamer.core.frames import FloatArray
from streamer.stages.drawing.painted_windows import similarity
from streamer.stages.render import RenderStage

shares = st.floats(-0.5, 0.5)


def points(seed: int) -> FloatArray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (12, 2)).astype(np.float32)


def moved(before: FloatArray, turn: complex, shift: complex) -> FloatArray:
    places = turn * (before[:, 0] + 1j * before[:, 1]) + shift
    return np.stack([places.real, places.imag], 1).astype(np.float32)


@given(st.integers(0, 1000), shares, shares, shares, shares)
def test_a_turn_scale_and_shift_are_found(seed: int, scale: float, turn: float, x: float, y: float) -> None:
    before = points(seed)
    (turned, shifted), left = similarity(before, moved(before, 1 + scale + 1j * turn, x + 1j * y))
    assert abs(turned - (1 + scale + 1j * turn)) < 1e-5
    assert abs(shifted - (x + 1j * y)) < 1e-5
    assert left < 1e-5


def test_what_one_point_does_alone_is_left() -> None:
    before = points(1)
    after = moved(before, 1.02, 0.1)
    after[3, 1] += 0.05
    assert 0.03 < similarity(before, after)[1] < 0.06


def test_points_in_one_place_are_taken_to_shift() -> None:
    before = np.full((4, 2), 0.25, np.float32)
    assert similarity(before, before + np.float32(0.5)) == ((1, 0.5 + 0.5j), 0)


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        (np.zeros((3, 2), np.float32), r"windows is \[3, 2\], expected \[2, 2\]"),
        (None, r"windows is none, expected \[2, 2\]"),
        (np.array([[0, 0], [0, 1e9]], np.float32), r"expected 0 to \[176, 136\]"),
        (np.array([[0, 0], [0, np.nan]], np.float32), r"expected 0 to \[176, 136\]"),
        (np.array([[0, -8], [0, 0]], np.float32), r"expected 0 to \[176, 136\]"),
    ],
)
def test_windows_beyond_the_picture_are_refused(starter: Engines, windows: FloatArray | None, message: str) -> None:
    avatar = Avatar.load(starter, "mina")
    others = {name: value for name, value in avatar.constants.items() if name != "windows"}
    if windows is not None:
        others["windows"] = windows
    with pytest.raises(AvatarError, match=message):
        RenderStage(starter, dataclasses.replace(avatar, constants=others))


def test_a_family_whose_paint_has_no_stage_of_its_own_is_told_to_be_installed_again(starter: Engines) -> None:
    manifest = starter.manifest
    stages: dict[str, StageSpec] = {name: spec for name, spec in manifest.stages.items() if name != "paint"}
    older = Engines(dataclasses.replace(manifest, stages=stages), {name: starter[name] for name in ("render",)})
    with pytest.raises(AvatarError, match="expected a frame, or a flow and a stage paint beside it; export or install"):
        RenderStage(older, Avatar.load(starter, "mina"))
