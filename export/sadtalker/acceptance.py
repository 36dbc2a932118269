"""Accept or refuse a written family: a frame must match torch's, and lips must move in every build."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from engines import manifest_file
from engines.backends.onnx_runtime import OrtGraph
from engines.chain import CompiledGraph, GraphChain
from engines.manifest import GraphSpec, Manifest
from engines.manifest_file import ManifestFile
from engines.runtime import Backend, Engine, find_backend
from export.sadtalker.graphs.plans import render_plans
from export.sadtalker.lip_motion import FRAMES, Drive, LipMotion, compare, drive, render
from export.sadtalker.networks.generator import Appearance, Generator
from export.tools.onnx_file import ExportError
from export.tools.rounding import rounded
from streamer.core.frames import FloatArray

IMAGE_TOLERANCE = 1e-3  # root mean square over a frame, pixels in 0..1; allows for another order of float32 sums

Compile = Callable[[GraphSpec], CompiledGraph]
Try = Callable[[str, Compile], LipMotion]  # a build's name and how to load its graphs
Say = Callable[[str], None]


@dataclass(frozen=True)
class Trial:
    """Result of a build on the driving sequence. seconds, cpu: wall and processor time per frame, all cores."""

    frames: FloatArray
    motion: LipMotion
    seconds: float
    cpu: float


class Acceptance:
    """A family, its driving sequence, and the float32 reference's frames of it."""

    def __init__(self, manifest: Manifest, threads: int = 2, frames: int = FRAMES) -> None:
        self.manifest, self.threads, self.frames = manifest, threads, frames

    def reference(self, graph: GraphSpec) -> CompiledGraph:
        """Load a graph in float32 in ONNX Runtime on the CPU."""
        return OrtGraph(graph.for_backend("onnxruntime"), self.threads)

    def half_on_cpu(self, generator: Generator) -> Compile:
        """Load the graphs' modules with float16 rounding as on a GPU."""
        return rounded(render_plans(generator, self.manifest.size))

    def on(self, backend: Backend, keep_bfloat16: bool = True) -> Compile:
        """Return a loader of `backend`; optionally in float32 where graphs allow bfloat16."""

        def compile_graph(graph: GraphSpec) -> CompiledGraph:
            chosen = graph.for_backend(backend.name)
            if chosen.precision == "bf16" and not keep_bfloat16:
                chosen = replace(chosen, precision="fp32")
            return backend.compile(chosen, self.threads)

        return compile_graph

    @cached_property
    def sequence(self) -> Drive:
        """Compute the driving sequence by the family's own networks in float32."""
        expression, motion, appearance = (
            self._open(stage, self.reference) for stage in ("expression", "motion", "appearance")
        )
        return drive(expression, motion, appearance, self.frames)

    @cached_property
    def expected(self) -> FloatArray:
        """Render the reference frames."""
        return render(self._open("render", self.reference), self.sequence)

    def try_build(self, compile_graph: Compile) -> Trial:
        """Render the sequence with another build and compare."""
        engine = self._open("render", compile_graph)
        first = replace(self.sequence, driving=self.sequence.driving[:1])
        render(engine, first)  # warm-up, not counted
        count, start, cpu = len(self.sequence.driving), time.perf_counter(), time.process_time()
        made = render(engine, self.sequence)
        seconds, cpu = (time.perf_counter() - start) / count, (time.process_time() - cpu) / count
        engine.deactivate()
        return Trial(made, compare(self.expected, made), seconds, cpu)

    def check_frame(self, generator: Generator) -> float:
        """Compare the reference's first frame with the network's own; returns the root mean square error.

        Raises:
            ExportError: they differ by more than IMAGE_TOLERANCE.
        """
        image = torch_frame(generator, self.sequence, 0)
        error = float(np.sqrt(np.mean((self.expected[0] - image) ** 2, dtype=np.float64)))
        if not error <= IMAGE_TOLERANCE:
            raise ExportError(
                f"render: a frame of the graphs is {error:.1e} off torch's, expected {IMAGE_TOLERANCE:.0e}"
            )
        return error

    def _open(self, stage: str, compile_graph: Compile) -> Engine:
        chain = GraphChain(self.manifest.stage(stage), compile_graph)
        chain.activate()
        return chain


def torch_frame(generator: Generator, sequence: Drive, index: int) -> FloatArray:
    """Render a frame [3, S, S] of the driving sequence by the original network, before any rewriting."""
    given = {name: torch.from_numpy(value) for name, value in sequence.constants.items()}
    with torch.no_grad():
        appearance = Appearance(given["volume"], given["compressed"])
        made = generator.render(appearance, torch.from_numpy(sequence.driving[index]), given["source_keypoints"])
    image: FloatArray = made.prediction[0].numpy()
    return image


def accept(folder: Path, generator: Generator, *, half: bool, tensorrt: bool, acceptance: Acceptance, say: Say) -> None:
    """Check a newly written family with every backend of this machine.

    half: it has float16 graphs. tensorrt: engines were built, too. Where OpenVINO's bfloat16 does not pass, the
    manifest is rewritten to float32 on CPUs.

    Raises:
        ExportError: a frame differs from torch's.
        LipMotionError: a build's lips do not move as they should.
    """
    say(f"a whole frame: {acceptance.check_frame(generator):.0e} off torch (root mean square, of a range of 1)")

    def trial(name: str, compile_graph: Compile) -> LipMotion:
        found = acceptance.try_build(compile_graph)
        say(f"{name}: {found.motion}; {found.seconds * 1000:.0f} ms a frame")
        return found.motion

    if half:
        trial("float16, emulated", acceptance.half_on_cpu(generator)).require("the float16 build")
    if importlib.util.find_spec("openvino"):
        _accept_openvino(folder, acceptance, trial, say)
    if tensorrt:
        trial("TensorRT", acceptance.on(find_backend("tensorrt"))).require("the TensorRT build")


def _accept_openvino(
    folder: Path, acceptance: Acceptance, trial: Callable[[str, Compile], LipMotion], say: Say
) -> None:
    openvino = find_backend("openvino")
    in_bfloat16 = any(openvino.precision(graph) == "bf16" for graph in acceptance.manifest.stage("render").graphs)
    found = trial(f"OpenVINO{' in bfloat16' if in_bfloat16 else ''}", acceptance.on(openvino))
    if in_bfloat16 and not found.accepted:
        say("  refused: CPUs will compute in float32")
        without_bfloat16(folder)
        found = trial("OpenVINO in float32", acceptance.on(openvino, keep_bfloat16=False))
    found.require("the build for CPUs")


def without_bfloat16(folder: Path) -> None:
    """Change a family's manifest so that CPUs compute everything in float32."""

    def edit(manifest: ManifestFile) -> None:
        for stage in manifest.stages.values():
            for graph in stage.graphs:
                for file in (graph, *graph.alternatives.values()):
                    file.precision = "fp32" if file.precision == "bf16" else file.precision

    manifest_file.change(folder, edit)
