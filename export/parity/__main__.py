"""Compare the networks, with stand-in weights, with every golden file of a folder.

    python -m export.parity DIR [--salt N] [--json] [--engine torch|onnx]

`--engine onnx` runs the exported graphs in ONNX Runtime instead, then the lip-motion gate of each build.
Prints the largest absolute error of each output, and that error relative to the output's spread. Exit status: 0 when
all are within tolerance, 1 when not, 2 when they could not be compared.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from engines.errors import AvatarError
from export.parity.cases import case_of, read
from export.parity.compare import Comparison, compare
from export.parity.onnx import FamilyStages, open_family
from export.parity.stages import Stages, TorchStages
from export.sadtalker.networks.loading import load, stand_in
from export.sadtalker.networks.registry import BUILDERS, Networks, build
from export.stand_in import natural
from export.tools import command

FACES = "face_3drecon"  # golden file whose pictures are not portraits
STATE_DICTS = "state_dicts.json"


@dataclass(frozen=True)
class Weights:
    """Selection of stand-in weights: salt and network width."""

    salt: int = 0
    width: float = 1.0

    def network(self, name: str) -> nn.Module:
        """Build the network `name` with these weights."""
        return load(name, stand_in(name, self.salt, self.width), "stand-in weights", self.width)


@contextmanager
def open_torch(weights: Weights, _: Path) -> Iterator[Stages]:
    """Open the torch networks."""
    yield TorchStages(weights.network)


@contextmanager
def open_onnx(weights: Weights, folder: Path) -> Iterator[Stages]:
    """Export the networks and open their graphs in ONNX Runtime."""
    networks = Networks(**{name: weights.network(name) for name in BUILDERS})  # type: ignore[arg-type]
    with open_family(networks, picture_size(folder), lambda message: print(message, file=sys.stderr)) as stages:
        yield stages


def picture_size(folder: Path) -> int:
    """Return the side of the golden portraits in pixels. Raises AvatarError if no file holds one."""
    for path in golden_files(folder):
        image = read(path).get("image") if not path.stem.startswith(FACES) else None
        if image is not None:
            return int(image.shape[-1])
    raise AvatarError(f"{folder}: no golden file with a portrait there, so the size of the pictures is unknown")


# An engine opens the family with these weights for the golden files of a folder; their pictures determine the size.
ENGINES: dict[str, Callable[[Weights, Path], AbstractContextManager[Stages]]] = {
    "torch": open_torch,
    "onnx": open_onnx,
}


@dataclass
class Report:
    """Result of a run. skipped: expected outputs that the engine does not return."""

    comparisons: list[Comparison] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether at least one output was compared and all are within tolerance."""
        return bool(self.comparisons) and all(comparison.passed for comparison in self.comparisons)


def check_folder(folder: Path, stages: Stages, show: Callable[[Comparison], None] = lambda _: None) -> Report:
    """Compare all golden files of `folder`. Raises AvatarError when one cannot be used."""
    report, start = Report(), time.perf_counter()
    for path in golden_files(folder):
        given, case = read(path), case_of(path)
        try:
            outcome = case.run(given, path, stages)
        except KeyError as error:
            raise AvatarError(f"{path}: no array {error} in it") from None
        wanted = {name: array for name, array in given.items() if name not in case.inputs} | dict(outcome.derived)
        for name, array in wanted.items():
            if name not in outcome.found:
                report.skipped.append(f"{path.stem}/{name}")
                continue
            report.comparisons.append(compare(path.stem, name, outcome.found[name], array))
            show(report.comparisons[-1])
    report.seconds = time.perf_counter() - start
    return report


def golden_files(folder: Path) -> list[Path]:
    """List the folder's .npz files, sorted. Raises AvatarError if it has no such file."""
    found = sorted(folder.glob("*.npz"))
    if not found:
        raise AvatarError(f"{folder}: no golden file (.npz) there")
    return found


def check_state_dicts(path: Path) -> list[Comparison]:
    """Compare keys, shapes and types of all networks with state_dicts.json; the error counts differing tensors."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        official = {
            name: {key: (tuple(v["shape"]), v["dtype"]) for key, v in keys.items()} for name, keys in data.items()
        }
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise AvatarError(f"{path}: not a list of state dicts ({error})") from None
    comparisons = []
    for name, wanted in official.items():
        if name not in BUILDERS:
            raise AvatarError(f"{path}: no network {name}; there are {', '.join(BUILDERS)}")
        state = build(name).state_dict()
        own = {key: (tuple(tensor.shape), str(tensor.dtype).removeprefix("torch.")) for key, tensor in state.items()}
        wrong = sorted({key for key, _ in wanted.items() ^ own.items()})
        note = f"{wrong[0]} and {len(wrong) - 1} more differ" if wrong else f"{len(wanted)} tensors"
        comparisons.append(Comparison(path.stem, name, len(wrong), len(wrong), 0.0, note=note))
    return comparisons


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of golden files")
    parser.add_argument("--salt", type=natural, default=0, help="which stand-in weights the files were made with")
    parser.add_argument("--width", type=command.share, default=1.0, help="share of the channels they were made with")
    parser.add_argument("--engine", choices=tuple(ENGINES), default="torch", help="what computes (default: torch)")
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of the table")
    args = parser.parse_args()
    show = (lambda _: None) if args.json else _print_row

    def job() -> int:
        report = _check(args, show)
        if args.json:
            print(json.dumps(_as_json(args, report), indent=1))
        else:
            _print_summary(report)
        return 0 if report.passed else 1

    return command.run(job)


def _check(args: argparse.Namespace, show: Callable[[Comparison], None]) -> Report:
    golden_files(args.folder)  # fail early, before any slow step
    with ENGINES[args.engine](Weights(args.salt, args.width), args.folder) as stages:
        report = check_folder(args.folder, stages, show)
        for comparison in (stages.turned(), *stages.lip_motion()) if isinstance(stages, FamilyStages) else ():
            report.comparisons.append(comparison)
            show(comparison)
    states = args.folder / STATE_DICTS
    if args.engine == "torch" and args.width == 1 and states.is_file():
        for comparison in check_state_dicts(states):
            report.comparisons.append(comparison)
            show(comparison)
    return report


def _print_row(row: Comparison) -> None:
    verdict = "ok" if row.passed else "TOO FAR"
    name = f"{row.file}/{row.output}"
    error = f"max {row.max_abs:8.2e}  relative {row.relative:8.2e} of {row.tolerance:7.1e}"
    print(f"{name:34} {error}  {verdict}  {row.note}".rstrip(), flush=True)


def _print_summary(report: Report) -> None:
    if report.skipped:
        print(f"not compared, as this engine does not give them: {', '.join(report.skipped)}")
    failed = sum(not comparison.passed for comparison in report.comparisons)
    verdict = f"{failed} outside tolerance" if failed else "all within tolerance"
    print(f"{len(report.comparisons)} outputs compared in {report.seconds:.0f} s: {verdict}")


def _as_json(args: argparse.Namespace, report: Report) -> dict[str, Any]:
    def number(value: float) -> float | None:
        return value if math.isfinite(value) else None  # JSON has no infinity

    rows = [
        {
            "file": row.file,
            "output": row.output,
            "max_abs": number(row.max_abs),
            "relative": number(row.relative),
            "tolerance": row.tolerance,
            "passed": row.passed,
            "note": row.note,
        }
        for row in report.comparisons
    ]
    about = {"engine": args.engine, "salt": args.salt, "passed": report.passed, "seconds": round(report.seconds, 1)}
    return about | {"results": rows, "skipped": report.skipped}


if __name__ == "__main__":
    sys.exit(main())
