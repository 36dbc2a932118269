"""Benchmark a frame: the original torch networks, and the exported graphs on each of this CPU's engines.

    python -m export.sadtalker.bench [--checkpoints DIR] [--size 256|512] [--frames 3] [--threads 2] [--json FILE]

Without checkpoints, stand-in weights are used: the speed is the same. All engines are measured in one run and given as
ratios, since a machine's speed varies between runs; each engine's picture and lip motion are compared with torch's.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from torch.utils.flop_counter import FlopCounterMode

from engines.manifest import Manifest
from engines.runtime import find_backend
from export.sadtalker.acceptance import Acceptance, Compile, torch_frame
from export.sadtalker.checkpoints import SIZES, load_checkpoints
from export.sadtalker.family import write_family
from export.sadtalker.lip_motion import compare
from export.sadtalker.networks.loading import load_all, stand_in
from export.sadtalker.networks.registry import BUILDERS, Networks
from export.tools import command
from export.tools.count import GIGA, multiply_accumulates
from streamer.core.files import write_json
from streamer.core.frames import FloatArray

Say = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """Row of one engine. ms: wall time of a frame; cpu_ms: processor time, all cores; speedup: of ms, over torch."""

    engine: str
    ms: float
    cpu_ms: float
    speedup: float
    cpu_ratio: float
    gmac: float
    psnr: float
    lip_ratio: float
    lip_correlation: float
    accepted: bool

    def __str__(self) -> str:
        gate = "passes" if self.accepted else "REFUSED"
        return (
            f"{self.engine:28s} {self.ms:8.0f} {self.speedup:7.2f}x {self.cpu_ms:8.0f} {self.cpu_ratio:7.2f}x "
            f"{self.gmac:7.1f} {self.psnr:6.1f}  {self.lip_ratio:.3f} {self.lip_correlation:.4f}  {gate}"
        )


HEADER = (
    f"{'engine':28s} {'ms/frame':>8s} {'':>8s} {'cpu ms':>8s} {'':>8s} {'GMAC':>7s} {'PSNR':>6s}  lips: ratio, "
    "correlation, gate"
)


def bench(networks: Networks, size: int, frames: int, threads: int, say: Say) -> list[Row]:
    """Measure every engine; `say` is called with each row when it is complete."""
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        say("writing the family")
        write_family(networks, Path(name), size=size, say=lambda _: None)
        acceptance = Acceptance(Manifest.load(Path(name)), threads, frames)
        say(HEADER)
        reference, rows = _torch(networks, acceptance)
        say(str(rows[0]))
        for engine, compile_graph, gmac in _engines(acceptance):
            trial = acceptance.try_build(compile_graph)
            motion = compare(reference, trial.frames)
            ms, cpu_ms = trial.seconds * 1000, trial.cpu * 1000
            rows.append(
                Row(
                    engine=engine,
                    ms=ms,
                    cpu_ms=cpu_ms,
                    speedup=rows[0].ms / ms,
                    cpu_ratio=rows[0].cpu_ms / cpu_ms,
                    gmac=gmac,
                    psnr=motion.psnr,
                    lip_ratio=motion.ratio,
                    lip_correlation=motion.correlation,
                    accepted=motion.accepted,
                )
            )
            say(str(rows[-1]))
    return rows


def _torch(networks: Networks, acceptance: Acceptance) -> tuple[FloatArray, list[Row]]:
    """Measure torch; return the reference frames and the row."""
    sequence = acceptance.sequence
    with FlopCounterMode(display=False) as counter:  # this first frame warms torch up, too
        torch_frame(networks.generator, sequence, 0)
    start, cpu = time.perf_counter(), time.process_time()
    made = np.stack([torch_frame(networks.generator, sequence, i) for i in range(acceptance.frames)])
    ms = (time.perf_counter() - start) * 1000 / acceptance.frames
    cpu_ms = (time.process_time() - cpu) * 1000 / acceptance.frames
    gmac = counter.get_total_flops() / 2 / GIGA
    return made, [Row("torch, float32", ms, cpu_ms, 1.0, 1.0, gmac, np.inf, 1.0, 1.0, True)]


def _engines(acceptance: Acceptance) -> list[tuple[str, Compile, float]]:
    """List name, loader and GMAC of each engine available on this machine."""
    render = acceptance.manifest.stage("render")

    def gmac(backend: str) -> float:
        return sum(multiply_accumulates(onnx.load(graph.path_for(backend))) for graph in render.graphs) / GIGA

    openvino = find_backend("openvino")
    engines: list[tuple[str, Compile, float]] = [
        ("ONNX Runtime, float32", acceptance.reference, gmac("onnxruntime")),
        ("OpenVINO, float32", acceptance.on(openvino, keep_bfloat16=False), gmac("openvino")),
    ]
    if any(openvino.precision(graph) == "bf16" for graph in render.graphs):
        engines.append(("OpenVINO, bfloat16 networks", acceptance.on(openvino), gmac("openvino")))
    return engines


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--checkpoints", type=Path, help="folder of the official files (default: stand-in weights)")
    parser.add_argument("--size", type=int, choices=SIZES, default=256, help="pixels (default: 256)")
    parser.add_argument("--frames", type=command.count, default=3, help="to render with each engine (default: 3)")
    parser.add_argument("--threads", type=command.count, default=2, help="threads of each engine (default: 2)")
    parser.add_argument("--width", type=command.share, default=1.0, help=argparse.SUPPRESS)  # of stand-in weights
    parser.add_argument("--json", type=command.new_file, help="write the rows there, too")
    args = parser.parse_args()
    return command.run(lambda: _bench(args))


def _bench(args: argparse.Namespace) -> None:
    networks = _networks(args.checkpoints, args.size, args.width)
    rows = bench(networks, args.size, args.frames, args.threads, lambda line: print(line, flush=True))
    if args.json:
        write_json(args.json, [asdict(row) for row in rows])


def _networks(folder: Path | None, size: int, width: float) -> Networks:
    if folder:
        return load_checkpoints(folder, size, width).networks
    return load_all({name: stand_in(name, 0, width) for name in BUILDERS}, dict.fromkeys(BUILDERS, "stand-ins"), width)


if __name__ == "__main__":
    sys.exit(main())
