"""Output of `avatar bench`: the description of the machine, the line per run, and the final table."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from typing import Any

from engines.manifest import Manifest
from engines.tuning_file import processor
from streamer.avatar.tuned_engines import ways
from streamer.core.console import note

COLUMNS = (
    ("size", 6),
    ("sessions", 9),
    ("new/s", 7),
    ("left out", 9),
    ("picture p50", 12),
    ("p95", 6),
    ("sound p50", 10),
    ("CPU s/s of talk", 16),
    ("MB", 6),
)


def machine_of(manifest: Manifest, threads: int) -> dict[str, object]:
    """Return a description of the machine, and how it computes each graph. Raises EngineError."""
    return {
        "system": platform.platform(),
        "processor": processor(),
        "cpus": os.cpu_count(),
        "load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "engines": {name: str(way) for name, way in ways(manifest, threads, note).items()},
    }


def described(machine: dict[str, object]) -> list[str]:
    """Return the description as lines of text."""
    engines = machine["engines"]
    assert isinstance(engines, dict)
    chosen = ", ".join(f"{name.removesuffix('.onnx')} {way}" for name, way in engines.items())
    load = machine["load_before"]
    busy = f", load {load:.1f} before" if isinstance(load, float) else ""
    return [
        f"{machine['processor']}, {machine['cpus']} cores{busy}, {machine['system']}",
        f"engines: {chosen or 'as announced, not measured'}",
    ]


def row(run: dict[str, Any]) -> str:
    """Return a run's figures in words."""

    def middle(name: str) -> str:
        return f"{run[name]['p50']:.0f} (p95 {run[name]['p95']:.0f}) ms" if run[name]["count"] else "not seen"

    left_out = f"left out: {run['left_out']}, " if run["left_out"] else ""
    latencies = f"microphone to picture {middle('mic_to_picture_ms')}, to sound {middle('mic_to_sound_ms')}"
    stages = ", ".join(f"{name} {value:.1f} ms" for name, value in run["stages_ms"].items())
    lost = f"  {run['packets_lost']} packets lost, {run['silence_ms']} ms of silence a session made up,\n"
    return (lost if run["loss"] else "") + (
        f"  {run['fps']:.1f} new frames/s, {run['freezes']} freezes, {latencies}, skew {middle('skew_ms')},\n"
        f"  {left_out}{run['cpu_percent']:.0f} % CPU, {run['rss_mb']:.0f} MB, stages {stages}"
    )


def table(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Return a heading and one line per run; latencies are from the microphone, in ms."""
    lines = ["".join(f"{name:>{width}}" for name, width in COLUMNS)]
    for run in runs:
        picture, sound = run["mic_to_picture_ms"], run["mic_to_sound_ms"]
        values = (
            *(run["size"], run["sessions"], f"{run['fps']:.1f}", run["left_out"] or "-"),
            *(_ms(picture, "p50"), _ms(picture, "p95"), _ms(sound, "p50")),
            *(f"{run['cpu_s_per_s_of_talk']:.2f}", f"{run['rss_mb']:.0f}"),
        )
        lines.append("".join(f"{value!s:>{width}}" for value, (_, width) in zip(values, COLUMNS, strict=True)))
    return lines


def _ms(percentiles: dict[str, float], name: str) -> str:
    return f"{percentiles[name]:.0f}" if name in percentiles else "-"
