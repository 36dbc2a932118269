"""Build a servable family of engines from the official checkpoints.

    python -m export.sadtalker.build --checkpoints DIR [--size 256|512] [--precision fp16|fp32] [--target tensorrt|onnx]

Every graph is compared with its source network, and a build is accepted only if its lips move as the float32
reference's do (`export.sadtalker.lip_motion`). The finished family is moved into place at the very end, so an existing
folder is always complete.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from engines.backends.tensorrt_plan import FOLDER as PLANS
from engines.manifest import Manifest
from engines.manifest_file import sha256
from export.sadtalker.acceptance import Acceptance, accept
from export.sadtalker.checkpoints import SIZES, Checkpoints, load_checkpoints
from export.sadtalker.family import PRECISIONS, Origin, write_family
from export.sadtalker.lip_motion import FRAMES
from export.sadtalker.networks.registry import BUILDERS, Networks
from export.tools import command, to_tensorrt
from export.tools.folder import replacing
from export.tools.onnx_file import ExportError

TARGETS = ("tensorrt", "onnx")
BUILT = Path("engines") / "built"
SPACE = 2.5  # disk space, relative to the weights: float32 and float16 graphs, the largest of them twice for a moment
ENGINE_SPACE = 1.0  # additional for TensorRT engines

Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """See the command's help. width: below 1 only for stand-in checkpoints; frames: of the lip-motion check."""

    checkpoints: Path
    out: Path = BUILT
    size: int = 256
    precision: str = "fp16"
    target: str = "onnx"
    width: float = 1.0
    threads: int = 2
    frames: int = FRAMES


def export_engines(options: Options, say: Say) -> Path:
    """Build the family `sadtalker-<size>` in `options.out` and return its folder.

    Raises:
        AvatarError: checkpoints are missing or wrong, disk space or TensorRT's GPU is missing, or a build is refused.
    """
    tensorrt = options.target == "tensorrt"
    if tensorrt:
        to_tensorrt.load_builder("tensorrt")  # fail early, before any slow step
    torch.set_num_threads(options.threads)
    checkpoints = load_checkpoints(options.checkpoints, options.size, options.width, say)
    _check_space(options, checkpoints.networks)
    folder = options.out / f"sadtalker-{options.size}"
    with replacing(folder) as work:
        write_family(
            checkpoints.networks,
            work,
            origin=_origin(checkpoints),
            size=options.size,
            precision=options.precision,
            say=say,
        )
        if tensorrt:
            _build_engines(work, folder, say)
        acceptance = Acceptance(Manifest.load(work), options.threads, options.frames)
        half = options.precision == "fp16"
        accept(work, checkpoints.networks.generator, half=half, tensorrt=tensorrt, acceptance=acceptance, say=say)
    return folder


def _check_space(options: Options, networks: Networks) -> None:
    """Raise ExportError if the free disk space is too small for the files to write."""
    weights = sum(tensor.nbytes for name in BUILDERS for tensor in getattr(networks, name).state_dict().values())
    needed = weights * (SPACE + ENGINE_SPACE * (options.target == "tensorrt"))
    options.out.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(options.out).free
    if free < needed:
        raise ExportError(f"{options.out}: {needed / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free")


def _origin(checkpoints: Checkpoints) -> Origin:
    """Return the names of the files, and one hash over the hashes of all."""
    hashes = {path.name: sha256(path) for path in sorted(set(checkpoints.files.values()))}
    digest = hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()
    return Origin(digest, ", ".join(hashes))


def _build_engines(work: Path, folder: Path, say: Say) -> None:
    """Build TensorRT engines beside the graphs; layers timed by an earlier build are not timed again."""
    timings = folder / PLANS / to_tensorrt.TIMINGS
    if timings.is_file():
        (work / PLANS).mkdir()
        shutil.copy(timings, work / PLANS)
    to_tensorrt.build_engines(Manifest.load(work), say=say, done=lambda build: say(str(build)))


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder of the official files")
    parser.add_argument("--size", type=int, choices=SIZES, default=256, help="pixels (default: 256)")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp16", help="of the large networks (default: fp16)")
    parser.add_argument(
        "--target", choices=TARGETS, default="onnx", help="tensorrt: engines for this machine's GPU, too"
    )
    parser.add_argument("--out", type=Path, default=BUILT, help=f"where families lie (default: {BUILT})")
    parser.add_argument("--threads", type=command.count, default=2, help="of the CPU, for the checks (default: 2)")
    parser.add_argument("--width", type=float, default=1.0, help=argparse.SUPPRESS)  # of stand-in checkpoints
    parser.add_argument("--frames", type=int, default=FRAMES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    start = time.monotonic()

    def say(message: str) -> None:
        print(f"[{time.monotonic() - start:4.0f} s] {message}", flush=True)

    def job() -> None:
        folder = export_engines(Options(**vars(args)), say)
        say(f"done: {folder}; run it with `avatar serve --engines {folder}`")

    return command.run(job, "interrupted; nothing was changed")


if __name__ == "__main__":
    sys.exit(main())
