"""What the committed expression network does with sound: rests in silence, opens in vowels, leaves the eyes alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engines.manifest import Manifest
from engines.runtime import Engine, open_stage
from streamer.config import SAMPLE_RATE
from streamer.frames import FloatArray
from streamer.window import WindowShape, clip_windows

STARTER = Path(__file__).parent.parent / "engines" / "starter"
AH, EE, OO = (730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240)  # formants, Hz (Peterson & Barney 1952, men)


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return Manifest.load(STARTER)


@pytest.fixture(scope="module")
def engine(manifest: Manifest) -> Iterator[Engine]:
    stage = open_stage(manifest, "expression", threads=1)
    stage.activate()
    yield stage
    stage.deactivate()


def vowel(formants: tuple[int, int, int], seconds: float = 1.0, pitch: float = 110.0, tract: float = 1.0) -> FloatArray:
    """A buzz with intonation through three resonances; `tract` > 1 is a shorter vocal tract."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    hertz = pitch * (1 + 0.06 * np.sin(2 * np.pi * 2.3 * time))  # a steady tone would be music, not a voice
    phase = 2 * np.pi * np.cumsum(hertz) / SAMPLE_RATE
    sound = np.zeros_like(time)
    for k in range(1, int(5000 / pitch)):
        peaks = zip((1.0, 0.5, 0.25), formants, (80, 100, 150), strict=True)
        gain = sum(height / (1 + ((k * hertz - tract * at) / width) ** 2) for height, at, width in peaks)
        sound += gain * np.sin(k * phase) / k**0.5
    return np.asarray(0.3 * sound / np.abs(sound).max(), np.float32)


def express(engine: Engine, sound: FloatArray) -> FloatArray:
    """All units of every frame of `sound`."""
    return engine.infer({"mel": clip_windows(sound, WindowShape.of(engine.spec))})["expression"]


def unit(engine: Engine, manifest: Manifest, sound: FloatArray, name: str) -> FloatArray:
    """One unit over the frames of `sound`, without its first and last fifth of a second."""
    return express(engine, sound)[5:-5, list(manifest.coefficients.expression).index(name)]


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


@pytest.mark.parametrize(("pitch", "tract"), [(110.0, 1.0), (210.0, 1.17)])
def test_ah_opens_wider_than_ee(engine: Engine, manifest: Manifest, pitch: float, tract: float) -> None:
    ah, ee = (unit(engine, manifest, vowel(f, pitch=pitch, tract=tract), "jawOpen").mean() for f in (AH, EE))
    assert ah > 1.5 * ee


def test_oo_rounds_the_lips_of_a_low_voice(engine: Engine, manifest: Manifest) -> None:
    """Low voices only: at 200 Hz and above the network's training voices were too few to learn rounding."""
    oo, ee = (unit(engine, manifest, vowel(formants), "mouthPucker").mean() for formants in (OO, EE))
    assert oo > ee + 0.2


def test_speech_leaves_eyes_and_brows_alone_and_all_units_in_range(engine: Engine, manifest: Manifest) -> None:
    sound = np.concatenate([vowel(AH, 0.3), vowel(OO, 0.3), np.zeros(4000, np.float32), vowel(EE, 0.3)])
    expression = express(engine, sound)
    assert expression.min() >= 0
    assert expression.max() <= 1
    for index, name in enumerate(manifest.coefficients.expression):
        if name.startswith(("eye", "brow")):
            assert not expression[:, index].any(), name
