"""What the committed expression network does with sound: rests in silence, opens in vowels, leaves the eyes alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from engines.manifest import Manifest
from engines.runtime import Engine, open_stage
from streamer.core.frames import FloatArray
from streamer.core.rates import SAMPLE_RATE
from streamer.stages.mel_windows import WindowShape, clip_windows
from tests import ROOT

STARTER = ROOT / "engines" / "starter"
# Formants of men's and women's vowels, Hz (Peterson & Barney 1952), at a pitch of 110 and 210 Hz.
AH, EE, OO = (730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240)
MAN = {"pitch": 110.0, "ah": AH, "ee": EE, "oo": OO}
WOMAN = {"pitch": 210.0, "ah": (850, 1220, 2810), "ee": (310, 2790, 3310), "oo": (370, 950, 2670)}


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return Manifest.load(STARTER)


@pytest.fixture(scope="module")
def engine(manifest: Manifest) -> Iterator[Engine]:
    stage = open_stage(manifest, "expression", threads=1)
    stage.activate()
    yield stage
    stage.deactivate()


def vowel(formants: tuple[int, int, int], seconds: float = 1.0, pitch: float = 110.0) -> FloatArray:
    """A buzz with intonation through resonances in a row, which is what gives formants their levels (Fant 1960)."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    hertz = pitch * (1 + 0.06 * np.sin(2 * np.pi * 2.3 * time))  # a steady tone would be music, not a voice
    phase = 2 * np.pi * np.cumsum(hertz) / SAMPLE_RATE
    sound = np.zeros_like(time)
    for k in range(1, int(5000 / pitch)):
        gain = np.ones_like(time)
        for at, width in zip((*formants, 3700), (80, 100, 150, 200), strict=True):
            gain /= np.hypot(1 - (k * hertz / at) ** 2, k * hertz * width / at**2)
        sound += gain * np.sin(k * phase) / k
    return np.asarray(0.3 * sound / np.abs(sound).max(), np.float32)


def express(engine: Engine, sound: FloatArray) -> FloatArray:
    """All units of every frame of `sound`."""
    return engine.infer({"mel": clip_windows(sound, WindowShape.of(engine.spec))})["expression"]


def unit(engine: Engine, manifest: Manifest, sound: FloatArray, name: str) -> FloatArray:
    """One unit over the frames of `sound`, without its first and last fifth of a second."""
    return express(engine, sound)[5:-5, list(manifest.coefficients.expression).index(name)]


def spoken(engine: Engine, manifest: Manifest, voice: dict[str, Any], name: str, which: str) -> float:
    """The mean of one unit while a voice says a vowel."""
    return float(unit(engine, manifest, vowel(voice[name], pitch=voice["pitch"]), which).mean())


def test_silence_shuts_the_mouth(engine: Engine, manifest: Manifest) -> None:
    silence = np.zeros(SAMPLE_RATE, np.float32)
    for name in ("jawOpen", "mouthFunnel", "mouthPucker", "mouthLowerDownLeft", "tongueOut"):
        assert unit(engine, manifest, silence, name).max() < 0.02


@pytest.mark.parametrize("level_db", [-60, -45])
def test_a_quiet_room_does_not_make_the_lips_flutter(engine: Engine, manifest: Manifest, level_db: int) -> None:
    noise = np.random.default_rng(0).standard_normal(3 * SAMPLE_RATE).astype(np.float32) * np.float32(
        10 ** (level_db / 20)
    )
    jaw = unit(engine, manifest, noise, "jawOpen")
    assert jaw.max() < 0.1
    assert np.abs(np.diff(jaw)).mean() < 0.01


@pytest.mark.parametrize("voice", [MAN, WOMAN], ids=["man", "woman"])
def test_ah_opens_wider_than_ee(engine: Engine, manifest: Manifest, voice: dict[str, Any]) -> None:
    ah, ee = (spoken(engine, manifest, voice, name, "jawOpen") for name in ("ah", "ee"))
    assert ah > 1.5 * ee


@pytest.mark.parametrize("voice", [MAN, WOMAN], ids=["man", "woman"])
def test_oo_rounds_the_lips(engine: Engine, manifest: Manifest, voice: dict[str, Any]) -> None:
    oo, ee = (spoken(engine, manifest, voice, name, "mouthPucker") for name in ("oo", "ee"))
    assert oo > ee + 0.2


@pytest.mark.parametrize("level_db", [-90, -50, -40])
def test_a_pause_between_words_shuts_the_mouth_in_a_noisy_room_too(
    engine: Engine, manifest: Manifest, level_db: int
) -> None:
    sound = np.concatenate([vowel(AH, 0.6), np.zeros(SAMPLE_RATE, np.float32), vowel(EE, 0.6)])
    room = np.random.default_rng(1).standard_normal(len(sound)).astype(np.float32) * np.float32(10 ** (level_db / 20))
    jaw = unit(engine, manifest, sound + room, "jawOpen")[20 - 5 : 32 - 5]  # from 0.2 s into the pause on
    assert jaw.max() < 0.03


def test_speech_leaves_eyes_and_brows_alone_and_all_units_in_range(engine: Engine, manifest: Manifest) -> None:
    sound = np.concatenate([vowel(AH, 0.3), vowel(OO, 0.3), np.zeros(4000, np.float32), vowel(EE, 0.3)])
    expression = express(engine, sound)
    assert expression.min() >= 0
    assert expression.max() <= 1
    for index, name in enumerate(manifest.coefficients.expression):
        if name.startswith(("eye", "brow")):
            assert not expression[:, index].any(), name
