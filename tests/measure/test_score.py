"""The score of the look-ahead dial: full is the measure, less future is told as lag."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from streamer.measure.score import main
from tests import DATA
from tests.fakes.sound import write_wav

SPEECH = DATA / "speech.ogg"


@pytest.mark.slow
def test_less_look_ahead_makes_the_mouth_late(tiny_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "score.json"
    assert main(["--audio", str(SPEECH), "--engines", str(tiny_folder), "--json", str(out)]) == 0
    scores = json.loads(out.read_text())
    full, none = scores[0], scores[-1]
    assert (full["amplitude"], full["correlation"], full["lag_ms"]) == (1.0, 1.0, 0)
    assert none["lookahead_ms"] == 0
    assert none["lag_ms"] >= 120  # its window reaches 138 ms ahead
    assert none["correlation"] < none["correlation_at_lag"]


@pytest.mark.parametrize(("name", "words"), [("nothing.wav", "no such file"), ("short.wav", "too few to compare")])
def test_sound_that_cannot_be_scored_is_refused_in_one_line(
    name: str, words: str, tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if name == "short.wav":
        write_wav(tmp_path / name, np.zeros(1_600, np.float32))
    assert main(["--audio", str(tmp_path / name), "--engines", str(tiny_folder)]) == 2
    *_, line = capsys.readouterr().err.splitlines()  # notes on the sound come before
    assert words in line
