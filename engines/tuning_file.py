"""Tuning results of this machine, stored for the next start.

The file holds a few entries, each for one processor, set of library versions, version of a family and number of
threads. If the file cannot be read, the measurement is repeated and the file replaced. Results measured while other
programs kept the processors busy are used, but measured again at the next start, a few times at most.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

import msgspec

from engines import json_file
from engines.errors import ManifestError
from engines.manifest import Manifest
from engines.manifest_file import FILE_NAME
from engines.runtime import Way
from engines.tuning import TunedGraph

FORMAT = 1
RULES = 3  # version of the rules for choosing a way; results of other versions are measured again
MOST_ENTRIES = 16
MOST_DISTURBED = 3  # in a row; after that a machine that is always busy keeps its results
LIBRARIES = ("openvino", "onnxruntime")


class _Way(msgspec.Struct, frozen=True):
    backend: str
    precision: str
    threads: int
    ms: float


class _Entry(msgspec.Struct):
    key: str
    family: str
    processor: str
    graphs: dict[str, _Way]
    disturbed: int = 0  # number of disturbed measurements in a row, including this one


class _File(msgspec.Struct):
    format: int
    entries: tuple[_Entry, ...]


def processor() -> str:
    """Return the processor's name."""
    return _from_cpuinfo("model name") or platform.processor() or platform.machine()


def key_of(manifest: Manifest, threads: int) -> str:
    """Return a hash of everything that a measurement depends on."""
    limits = [f"{name}={os.environ[name]}" for name in ("ONEDNN_MAX_CPU_ISA",) if name in os.environ]
    parts = [
        f"rules {RULES}",
        *(processor(), _from_cpuinfo("flags"), str(os.cpu_count()), *limits),
        *(f"{name} {_version(name)}" for name in LIBRARIES),
        hashlib.sha256((manifest.folder / FILE_NAME).read_bytes()).hexdigest(),
        str(threads),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def read(path: Path, key: str) -> dict[str, Way] | None:
    """Return the stored ways of a key, by graph; None if nothing is stored, or it should be measured again."""
    entry = _entry(path, key)
    if entry is None or 0 < entry.disturbed < MOST_DISTURBED:
        return None
    return {name: Way(way.backend, way.precision, way.threads) for name, way in entry.graphs.items()}


def write(path: Path, key: str, manifest: Manifest, tuned: Sequence[TunedGraph], *, disturbed: bool = False) -> None:
    """Store results; the oldest surplus entry is evicted. disturbed: other programs were busy. Raises OSError."""
    before = _entry(path, key)
    times = 1 + (before.disturbed if before else 0) if disturbed else 0
    graphs = {graph.name: _kept(graph) for graph in tuned}
    others = [entry for entry in _entries(path) if entry.key != key][-MOST_ENTRIES + 1 :]
    path.parent.mkdir(parents=True, exist_ok=True)
    entry = _Entry(key, manifest.family, processor(), graphs, times)
    json_file.write(path, _File(FORMAT, (*others, entry)))


def ways_of(tuned: Sequence[TunedGraph]) -> Mapping[str, Way]:
    """Return the chosen ways, by graph."""
    return {graph.name: graph.chosen for graph in tuned}


def _kept(graph: TunedGraph) -> _Way:
    ms = next(trial.ms for trial in graph.trials if trial.way == graph.chosen)
    return _Way(graph.chosen.backend, graph.chosen.precision, graph.chosen.threads, round(ms, 3))


def _entry(path: Path, key: str) -> _Entry | None:
    return next((entry for entry in _entries(path) if entry.key == key), None)


def _entries(path: Path) -> tuple[_Entry, ...]:
    try:
        return json_file.read_format(path, _File, FORMAT).entries
    except ManifestError:
        return ()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


def _from_cpuinfo(field: str) -> str:
    """Return a field of the first processor in /proc/cpuinfo; empty if not on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == field), "")
