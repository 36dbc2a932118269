"""The phone table: what it counts as shut, tucked, round and seen, and what it says of bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the export side's packages are not installed")

from engines import SHIPPED_FAMILY
from engines.manifest import Manifest
from export.starter.phone_table import Face, Mouth, Table, disturbed, main
from export.starter.voices.speech import Phone
from export.starter.voices.visemes import FIELDS, units, unsided
from streamer.avatar.bundle import PREPARING
from streamer.core.frames import CoefficientWindow
from streamer.pipeline import Engines
from tests.fakes.sound import speech_like, write_wav


def mouth(frames: int, **changed: float) -> Mouth:
    """A half-open mouth, with `changed` values in its middle frame alone."""
    values = {"gap": 0.2, "lip_to_teeth": 0.1, "width": 1.0, "tongue": -0.1}
    tracks = {name: np.full(frames, value) for name, value in values.items()}
    for name, value in changed.items():
        tracks[name][frames // 2] = value
    return Mouth(**tracks)


def judged(symbol: str, seen: Mouth, at: float = 0.4) -> Table:
    table = Table()
    table.add([Phone(symbol, at, at + 0.08)], seen, rest_width=1.0)
    return table


@pytest.mark.parametrize(("symbol", "changed", "field"), [
    ("b", {"gap": 0.02}, "closed"), ("v", {"lip_to_teeth": -0.02}, "tucked"), ("ð", {"tongue": 0.05}, "tongue"),
])  # fmt: skip
def test_a_phone_is_reached_if_one_of_its_frames_reaches_it(symbol: str, changed: dict[str, float], field: str) -> None:
    assert getattr(judged(symbol, mouth(21, **changed)), field) == [True]
    assert getattr(judged(symbol, mouth(21)), field) == [False]
    assert getattr(judged(symbol, mouth(21, **changed), at=0.6), field) == [False]  # too late


def test_a_tongue_behind_shut_lips_is_not_seen() -> None:
    assert judged("θ", mouth(21, tongue=0.05, gap=0.01)).tongue == [False]


def test_widths_are_of_rest_and_rows_tell_how_many_phones() -> None:
    table = judged("u", mouth(21, width=0.8))
    assert table.rounded == [pytest.approx(0.8)]
    assert any(row.startswith("oo") and "0.80  of 1" in row for row in table.rows())
    assert sum("none" in row for row in table.rows()) == 5


@pytest.mark.slow
@pytest.mark.parametrize("avatar", ["mina", "kofi"])
def test_the_targets_of_visemes_pass_on_the_characters_themselves(avatar: str) -> None:
    """Held shapes, put through the rig: what a network that hears perfectly would reach."""
    manifest = Manifest.load(SHIPPED_FAMILY)

    def held(**fields: float) -> Mouth:
        driven = units({name: fields.get(name, 0.0) for name in FIELDS})
        values = np.zeros((len(manifest.coefficients), 3), np.float32)
        for row, name in enumerate(manifest.coefficients.expression):
            values[row] = driven.get(unsided(name), 0.0)
        return face.shape([CoefficientWindow(0, values, busy=np.ones(values.shape[1], np.float32))])

    with Engines.open(manifest, without=PREPARING) as engines:
        face = Face(engines, avatar)
        assert held(contact=1.0, jaw=0.4, lower=0.4).gap[0] <= 0.03
        for jaw, funnel in ((0.0, 0.0), (0.5, 0.7)):  # whatever stands beside it
            assert abs(held(tuck=1.0, jaw=jaw, funnel=funnel, lower=0.4).lip_to_teeth[0]) <= 0.03
        assert held(tuck=1.0).gap[0] > 0.05  # and the teeth are seen
        assert held(tongue=0.8, jaw=0.16, lower=0.4, upper=0.2).tongue[0] > 0
        assert held(jaw=0.16, lower=0.4, upper=0.2).tongue[0] < 0
        assert held(pucker=1.0, funnel=0.6, jaw=0.1).width[0] <= 0.85 * face.rest_width()


def test_disturbed_sound_has_the_level_and_the_noise_asked_for() -> None:
    sound = speech_like(2.0)
    quiet = disturbed(sound, -20, None)
    np.testing.assert_allclose(quiet, sound * 0.1, rtol=1e-4, atol=1e-7)
    noise = disturbed(sound, 0, 15) - sound
    assert 10 * np.log10((sound**2).mean() / (noise**2).mean()) == pytest.approx(15, abs=0.3)


@pytest.mark.slow
def test_a_sound_without_its_words_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pocketsphinx", reason="the aligner is not installed")
    sound = write_wav(tmp_path / "speech.wav", speech_like(1.0))
    assert main([str(sound)]) == 2
    assert "speech.txt" in capsys.readouterr().err
    (tmp_path / "speech.txt").write_text("xyzzy")
    assert main([str(sound)]) == 2
    message = capsys.readouterr().err.strip()
    assert "xyzzy" in message
    assert "\n" not in message
