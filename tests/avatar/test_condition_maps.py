"""Condition maps say where lids and lips are in every state, the shut ones included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import engines
from engines.manifest import Manifest
from streamer.avatar.condition_maps import CHANNELS, ConditionRasterizer
from streamer.core.frames import FloatArray

STARTER = Path(engines.__file__).parent / "starter"
EYES, IRISES, OPENING = (CHANNELS.index(name) for name in ("eyes", "irises", "mouth opening"))


@pytest.fixture(scope="module")
def rasterizer() -> ConditionRasterizer:
    return ConditionRasterizer(STARTER / "topology.npz")


def face(**units: float) -> FloatArray:
    """Keypoints [K, 3] of the default avatar with these units."""
    manifest = Manifest.load(STARTER)
    with np.load(STARTER / "avatars" / manifest.default_avatar / "arrays.npz") as arrays:
        neutral, basis = arrays["neutral"], arrays["basis"]
    weights = np.array([units.get(name, 0.0) for name in manifest.coefficients.expression], np.float32)
    return np.asarray(neutral + np.tensordot(weights, basis, 1), np.float32)


def test_an_open_eye_has_an_iris_and_a_shut_one_a_line_where_the_lids_meet(rasterizer: ConditionRasterizer) -> None:
    opened, shut = rasterizer.draw(face()), rasterizer.draw(face(eyeBlinkLeft=1.0, eyeBlinkRight=1.0))
    assert shut[IRISES].sum() < 0.2 * opened[IRISES].sum()
    lash_line = shut[EYES] > 0.5
    assert 20 < lash_line.sum() < 0.6 * (opened[EYES] > 0.5).sum()
    assert lash_line.sum(axis=0).max() <= 4  # thin in every column


def test_the_mouth_has_no_opening_at_rest_and_teeth_only_within_it(rasterizer: ConditionRasterizer) -> None:
    rest = rasterizer.draw(face())
    spoken = rasterizer.draw(face(jawOpen=0.5, mouthUpperUpLeft=0.3, mouthUpperUpRight=0.3))
    assert rest[OPENING].sum() < 0.25 * spoken[OPENING].sum()
    inside = [CHANNELS.index(name) for name in ("upper teeth", "lower teeth", "tongue")]
    assert spoken[inside].sum() > 30
    assert (spoken[inside] <= spoken[OPENING] + 1e-6).all()
