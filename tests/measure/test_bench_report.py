"""What a bench tells: where the ladder began, and one line a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engines.manifest import Manifest
from streamer.cli.main import main
from streamer.measure.bench import left_out
from streamer.measure.bench_report import described, machine_of, row, table

RUN: dict[str, Any] = {
    "sessions": 2,
    "size": 512,
    "loss": 0.0,
    "fps": 24.9,
    "left_out": "paint",
    "freezes": 0,
    "packets_lost": 0,
    "silence_ms": 0,
    "mic_to_picture_ms": {"p50": 300.0, "p95": 340.0, "p99": 350.0, "count": 9},
    "mic_to_sound_ms": {"count": 0},
    "skew_ms": {"count": 0},
    "cpu_percent": 150.0,
    "cpu_s_per_s_of_talk": 0.75,
    "rss_mb": 400.4,
    "stages_ms": {"render": 20.0},
}


@pytest.mark.parametrize(
    ("rung", "steps", "name"), [(0, {}, ""), (3, {}, "size"), (0, {"paint": 1}, "paint"), (1, {"rate": 2}, "rate")]
)
def test_a_run_reports_its_lowest_rung(rung: int, steps: dict[str, int], name: str) -> None:
    counted = {f'ladder_steps_total{{rung="{step}"}}': float(count) for step, count in steps.items()}
    assert left_out({"ladder_rung": float(rung)}, counted) == name


def test_the_table_has_a_line_for_each_run_and_a_dash_for_missing_figures() -> None:
    head, *lines = table([RUN, {**RUN, "left_out": ""}])
    assert head.split()[:3] == ["size", "sessions", "new/s"]
    assert lines[0].split() == ["512", "2", "24.9", "paint", "300", "340", "-", "0.75", "400"]
    assert lines[1].split()[3] == "-"
    assert len({len(line) for line in (head, *lines)}) == 1
    assert "left out: paint" in row(RUN)


@pytest.mark.process
def test_the_machine_is_named_with_what_it_computes_by(tiny_folder: Path) -> None:
    first, second = described(machine_of(Manifest.load(tiny_folder), 1))
    assert "cores" in first
    assert second == "engines: as announced, not measured"


def test_a_size_that_the_family_lacks_is_refused_before_anything_is_measured(
    tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "--engines", str(tiny_folder), "--size", "300"]) == 2
    assert "size 300; family tiny has" in capsys.readouterr().err
