"""Mouth shapes from phones: closures close, vowels open, rounding spreads, silence rests."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the export side's packages are not installed")

from export.starter.rendering.face_units import FACE_UNITS
from export.starter.voices.speech import BREATH, SILENCE, Phone
from export.starter.voices.visemes import FIELDS, REACHED, VISEMES, classify, mouth_fields, units

FRAME = 0.04


def phones(*symbols: str, length: float = 0.16) -> list[Phone]:
    """Phones of equal length, one after the other."""
    return [Phone(symbol, i * length, (i + 1) * length) for i, symbol in enumerate(symbols)]


def unit(spoken: list[Phone], name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    frames = round(spoken[-1].end / FRAME)
    return np.asarray(units(mouth_fields(spoken, frames))[name])


def gap(spoken: list[Phone]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Between the lips in mouth widths, as the rig's jaw and funnel open them: measured on its mesh."""
    jaw, close, funnel = (unit(spoken, name) for name in ("jawOpen", "mouthClose", "mouthFunnel"))
    return np.asarray(0.69 * (jaw - close) + 0.27 * funnel)


@pytest.mark.parametrize("closed", ["m", "b", "p"])
@pytest.mark.parametrize("vowel", ["ɑ", "i", "u", "æ"])
def test_lips_meet_in_bilabials_between_any_vowels(closed: str, vowel: str) -> None:
    spoken = phones(vowel, closed, vowel)
    jaw, close = unit(spoken, "jawOpen"), unit(spoken, "mouthClose")
    middle = 5  # its centre, 0.22 s, lies in the hold of m and in the closure of p and b
    assert jaw[middle] - close[middle] < 0.01
    assert unit(spoken, "mouthPress")[middle] > 0.25
    assert unit(spoken, "mouthFunnel")[middle] < 0.01
    assert gap(spoken)[1] > 0.06


@pytest.mark.parametrize(("symbol", "most"), [("ʃ", 0.17), ("u", 0.15), ("w", 0.12), ("o", 0.30)])
def test_rounded_sounds_are_small_openings(symbol: str, most: float) -> None:
    assert gap(phones(symbol, symbol, symbol)).max() <= most


def test_an_open_vowel_opens_wider_than_a_close_one_and_shows_teeth() -> None:
    in_the_vowel = 6
    opened, closed = (unit(phones("k", vowel, "k"), "jawOpen")[in_the_vowel] for vowel in ("ɑ", "i"))
    assert opened > 2 * closed
    assert unit(phones("k", "ɑ", "k"), "mouthLowerDown").max() > 0.25


def test_rounding_begins_before_the_rounded_vowel() -> None:
    before_u, before_i = (unit(phones("s", "t", vowel), "mouthPucker")[6] for vowel in ("u", "i"))
    assert before_u > before_i + 0.3


def test_labiodentals_tuck_the_lower_lip_without_closing_the_mouth() -> None:
    spoken = phones("ɑ", "f", "ɑ")
    assert unit(spoken, "mouthRollLower")[5] > 0.5
    assert unit(spoken, "mouthPress")[5] < 0.01


def test_silence_is_neutral_with_a_trace_of_a_smile() -> None:
    shape = {name: float(value[0]) for name, value in units(mouth_fields([Phone(SILENCE, 0.0, 1.0)], 25)).items()}
    assert 0 < shape.pop("mouthSmile") < 0.1
    assert max(shape.values()) < 0.01


def test_the_mouth_rests_in_a_long_pause_and_not_in_a_short_one() -> None:
    def opening_in_a_pause_of(seconds: float) -> float:
        spoken = [Phone("ɑ", 0.0, 0.2), Phone(SILENCE, 0.2, 0.2 + seconds), Phone("ɑ", 0.2 + seconds, 0.5 + seconds)]
        return float(unit(spoken, "jawOpen").min())

    assert opening_in_a_pause_of(1.0) < 0.02
    assert opening_in_a_pause_of(0.08) > 0.2


def test_a_louder_vowel_opens_wider() -> None:
    spoken = phones("k", "ɑ", "k")
    plain, loud = (mouth_fields(spoken, 12, [1.0, effort, 1.0])["jaw"].max() for effort in (1.0, 1.3))
    assert loud > 1.15 * plain


def test_lead_moves_the_mouth_ahead_of_the_sound() -> None:
    spoken = phones("ɑ", "m", "ɑ", "s", "u")
    plain, early = mouth_fields(spoken, 20), mouth_fields(spoken, 20, lead=FRAME)
    for name in FIELDS:
        assert np.allclose(early[name][:-1], plain[name][1:])


def test_closures_may_lead_less_than_the_rest_of_the_mouth() -> None:
    spoken = phones("ɑ", "m", "ɑ", "f", "u")
    early = mouth_fields(spoken, 20, lead=2 * FRAME)
    mixed = mouth_fields(spoken, 20, lead=2 * FRAME, contact_lead=FRAME)
    for name in FIELDS:
        later = 1 if name in REACHED else 0
        assert np.allclose(mixed[name][later:], early[name][: 20 - later]), name


def test_a_breath_opens_the_mouth_in_a_pause() -> None:
    spoken = [Phone(SILENCE, 0.0, 0.6), Phone(BREATH, 0.6, 1.0), Phone("m", 1.0, 1.2)]
    jaw = unit(spoken, "jawOpen")
    assert jaw[:8].max() < 0.02
    assert jaw[17:23].min() > 0.2


@pytest.mark.parametrize(
    ("symbol", "names"),
    [("aɪ", ["a", "ih"]), ("tʃ", ["sh"]), ("ts", ["s"]), ("ph", ["p"]), ("ɐ̃ʊ̃", ["a", "uu"]), ("mʲ", ["m"]),
     ("iː", ["i"]), ("ʲ", []), (SILENCE, ["rest"]), (BREATH, ["breath"])],
)  # fmt: skip
def test_ipa_symbols_become_classes(symbol: str, names: list[str]) -> None:
    assert classify(symbol) == names


def test_every_unit_that_speech_moves_is_one_of_the_family() -> None:
    moved = units(dict.fromkeys(FIELDS, 0.0))
    assert all(name in FACE_UNITS or f"{name}Left" in FACE_UNITS for name in moved)
    assert len(FACE_UNITS) == 52
    assert list(FACE_UNITS) == sorted(FACE_UNITS)


def test_targets_stay_in_range_whatever_is_spoken() -> None:
    random = np.random.default_rng(0)
    letters = ["ɑ", "m", "s", "u", "f", "θ", "p", "w", "i", "ʃ", "ɹ", SILENCE]
    spoken = phones(*random.choice(letters, 200), length=0.07)
    for name, value in units(mouth_fields(spoken, 350)).items():
        assert value.min() >= 0, name
        assert value.max() <= 1, name
    assert all(max(v.jaw, v.lower, v.upper, v.pucker, v.funnel) <= 1 for v in VISEMES.values())
