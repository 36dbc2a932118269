"""A soak's verdict: what grows or drifts is told, what is steady passes; one is run for real by `make soak`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamer.measure.soak import Round, judge, main

STEADY = [Round(number / 2, 25.0, 0, 300.0, 400.0, 420.0 + number % 3, 28, 2) for number in range(1, 9)]
LEFT = Round(5.0, 0.0, 0, None, None, 420.0, 27, 0)


def test_a_steady_server_passes() -> None:
    assert judge([*STEADY, LEFT]) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda n, item: replace(item, rss_mb=item.rss_mb + 9 * n), "memory grew by"),
        (lambda n, item: replace(item, open_files=item.open_files + 2 * n), "8 more files"),
        (lambda n, item: replace(item, mic_to_sound_ms=400 + 20 * n), "mic_to_sound_ms drifted by 70 ms"),
        (lambda n, item: replace(item, mic_to_picture_ms=None), "mic_to_picture_ms could not be seen"),
    ],
)
def test_growth_and_drift_are_reported(change: object, words: str) -> None:
    assert callable(change)
    complaints = judge([*(change(number, item) for number, item in enumerate(STEADY)), LEFT])
    assert len(complaints) == 1
    assert words in complaints[0]


def test_sessions_that_outlive_their_callers_are_reported() -> None:
    assert judge([*STEADY, replace(LEFT, sessions_open=1)]) == ["soak: 1 sessions are open though everybody has left"]


def test_a_file_that_cannot_be_written_is_refused_before_anything_starts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "nowhere/soak.json"]) == 2
    assert "there is no folder nowhere" in capsys.readouterr().err
