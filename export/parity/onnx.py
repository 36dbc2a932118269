"""Test parity of the exported graphs: write the whole family to a temporary folder and run it in ONNX Runtime.

The lip-motion gate follows: float16 graphs and the CPU's native precision against float32.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from engines.manifest import Manifest
from engines.runtime import Engines, find_backend
from export.parity.compare import Array, Comparison
from export.parity.floor import ROUNDING, settle
from export.sadtalker.acceptance import Acceptance
from export.sadtalker.family import write_family
from export.sadtalker.lip_motion import CORRELATION, RATIO, LipMotion
from export.sadtalker.networks.generator import Generator
from export.sadtalker.networks.registry import Networks

BACKEND = "onnxruntime"
THREADS = 2
FRAMES = 4  # compared by the lip-motion gate


class FamilyStages:
    """`export.parity.stages.Stages` of a written family."""

    def __init__(self, engines: Engines, acceptance: Acceptance, generator: Generator) -> None:
        self._engines, self._acceptance, self._generator = engines, acceptance, generator
        self._turned, self._distance = 0, 0.0  # flipped masks, and the largest distance of one from the threshold

    def run(self, stage: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run a stage, see `Stages`; missing inputs, such as an unused view, are zeros.

        Masks that rounding flipped are reset, see `floor`.
        """
        engine = self._engines[stage]
        count = next(iter(inputs.values())).shape[0]
        given = {}
        for name, spec in engine.spec.inputs.items():
            shape = [count if isinstance(dim, str) else dim for dim in spec.shape]
            given[name] = np.asarray(inputs.get(name, np.zeros(shape)), spec.dtype)
        made = engine.infer(given)
        if stage == "render":
            settled = settle(self._generator, given, made)
            self._turned += settled.turned
            self._distance = max(self._distance, settled.distance)
            if settled.by_rounding:
                made["image"], made["deformation"] = settled.image, settled.deformation
        return made

    def turned(self) -> Comparison:
        """Compare the reset masks' distance from the threshold, in float64, with the rounding bound."""
        note = f"{self._turned} masks turned over by rounding, put back"
        distance = self._distance
        return Comparison("floor", "masks", distance, distance, ROUNDING, note=note)

    def lip_motion(self) -> Iterator[Comparison]:
        """Compute both figures of the gate for each build that runs on a CPU.

        As in the export, a CPU build falls back to float32 if bfloat16 fails, and float32 must pass.
        """
        acceptance, openvino = self._acceptance, find_backend("openvino")
        yield from _rows("float16", acceptance.try_build(acceptance.half_on_cpu(self._generator)).motion)
        found, note = acceptance.try_build(acceptance.on(openvino)).motion, ""
        if not found.accepted:
            note = f"bfloat16 refused ({found}), so float32: "
            found = acceptance.try_build(acceptance.on(openvino, keep_bfloat16=False)).motion
        yield from _rows("openvino", found, note)


def _rows(name: str, found: LipMotion, note: str = "") -> Iterator[Comparison]:
    apart = {"amplitude": (abs(found.ratio - 1), RATIO[1] - 1), "correlation": (1 - found.correlation, 1 - CORRELATION)}
    for figure, (error, tolerance) in apart.items():
        yield Comparison("lip_motion", f"{name}_{figure}", error, error, tolerance, note=f"{note}{found}")


@contextmanager
def open_family(networks: Networks, size: int, say: Callable[[str], None]) -> Iterator[FamilyStages]:
    """Write the family for pictures of `size` pixels to a temporary folder, deleted on exit, and open it."""
    with tempfile.TemporaryDirectory(prefix="parity-") as name:
        write_family(networks, Path(name), size=size, say=say)
        manifest = Manifest.load(Path(name))
        with Engines.open(manifest, backend=BACKEND, threads=THREADS) as engines:
            yield FamilyStages(engines, Acceptance(manifest, THREADS, FRAMES), networks.generator)
