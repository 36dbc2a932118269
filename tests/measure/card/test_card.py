"""The score card from the command line: a character is measured, compared with itself, and bad input is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamer.measure.card.__main__ import main
from tests import DATA

SPEECH = str(DATA / "speech.ogg")


@pytest.mark.slow
def test_a_character_is_measured_and_compared(tmp_path: Path) -> None:
    asked = [SPEECH, "--out", str(tmp_path), "--faces", "mina", "--seconds", "4"]
    assert main(asked) == 0
    card = json.loads((tmp_path / "card.json").read_text())
    (row,) = card["rows"]
    assert (row["face"], row["sound"], row["found"]) == ("mina", "speech.ogg", 1.0)
    assert row["likeness"]["rest"] > 0.6  # it is still her
    assert row["head"]["yaw_spread"] > 0.2  # and she moves
    assert row["follows"] is None  # nobody to follow
    page = (tmp_path / "card.html").read_text()
    assert page.count("data:image/jpeg") == 2
    assert "Change since" not in page


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing.wav"], "nothing.wav"),
        ([SPEECH, "--seconds", "2"], "at least 4 are needed"),
        ([SPEECH, "--before", SPEECH], "no score card"),
        ([SPEECH, "--faces"], "no face to measure"),
        ([SPEECH, "--faces", "nobody"], "nobody"),
    ],
)
def test_what_cannot_be_measured_is_told_in_a_line(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--out", str(tmp_path / "card")]) == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith("card: ")
    assert words in line
    assert not (tmp_path / "card" / "card.html").exists()
