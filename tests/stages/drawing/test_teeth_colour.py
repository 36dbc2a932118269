"""Painted teeth are white, not blue or green, and nothing else in a mouth changes."""

from __future__ import annotations

import numpy as np
import pytest

from engines.runtime import Engines
from streamer.pipeline import Avatar
from streamer.stages.drawing.teeth_colour import has_human_colours, warmed

LIP, GUM, DARK = (0.62, 0.40, 0.33, 1.0), (0.55, 0.22, 0.20, 0.8), (0.10, 0.03, 0.03, 1.0)


@pytest.mark.parametrize("tooth", [(0.70, 0.82, 0.80, 1.0), (0.72, 0.70, 0.84, 1.0), (0.30, 0.40, 0.36, 0.5)])
def test_blue_and_green_teeth_turn_white(tooth: tuple[float, ...]) -> None:
    red, green, blue, alpha = warmed(np.full((4, 6, 4), tooth, np.float32))[0, 0]
    assert red >= max(green, blue)
    assert min(green, blue) > 0.9 * red
    assert red + green + blue == pytest.approx(sum(tooth[:3]), rel=0.06)  # as bright as before
    assert alpha == tooth[3]


def test_lips_gums_and_the_dark_keep_their_colours() -> None:
    layer = np.array([[LIP, GUM, DARK]], np.float32)
    assert np.allclose(warmed(layer.copy()), layer)


def test_a_blue_face_keeps_its_teeth(starter: Engines) -> None:
    mina = Avatar.load(starter, "mina")
    assert has_human_colours(mina)
    assert not has_human_colours(Avatar(mina.info, mina.constants, np.ascontiguousarray(mina.photo[..., ::-1])))
