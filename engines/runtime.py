"""The `Engine` protocol, choice of a backend, and opening a family's stages on this machine."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from engines.backends import tensorrt_plan
from engines.backends.gpu import find_gpu
from engines.chain import CompiledGraph, GraphChain, Tensor
from engines.errors import EngineError
from engines.manifest import SOUND_STAGES, GraphSpec, Manifest, StageSpec

BACKEND_VARIABLE = "AVATAR_ENGINE"
INT8 = "int8"


class Binding(Protocol):
    """An engine with some inputs fixed, such as an avatar's constants, which do not change between frames."""

    def infer(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run the stage on the fixed inputs and these; return arrays that are not reused by later calls."""


class Engine(Protocol):
    """One runnable stage. Not thread-safe, but each binding may be used in a separate thread."""

    @property
    def spec(self) -> StageSpec:
        """Inputs and outputs of the stage."""

    def activate(self) -> None:
        """Compile and warm up; a second call does nothing."""

    def infer(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run the stage; inputs and outputs go by the manifest's names, and inputs are checked against its shapes."""

    def bind(self, constants: Mapping[str, Tensor], outputs: Collection[str] | None = None) -> Binding:
        """Fix `constants` for many calls, so that they are checked and passed once. Safe in any thread.

        outputs: the outputs to compute in each call; None is all of them.
        """

    def deactivate(self) -> None:
        """Release the resources of `activate`; earlier bindings become invalid."""


@dataclass(frozen=True)
class Backend:
    """A library that runs graphs on this machine. `compile` loads a graph; `precision` returns the precision used."""

    name: str
    description: str
    compile: Callable[[GraphSpec, int], CompiledGraph]
    precision: Callable[[GraphSpec], str]


def _openvino() -> Backend:
    from engines.backends import openvino_cpu

    return Backend("openvino", openvino_cpu.describe(), openvino_cpu.OpenVinoGraph, openvino_cpu.precision_used)


def _onnxruntime() -> Backend:
    from engines.backends import onnx_runtime

    return Backend("onnxruntime", onnx_runtime.describe(), onnx_runtime.OrtGraph, onnx_runtime.precision_used)


def _tensorrt() -> Backend:
    from engines.backends import tensorrt_gpu

    return Backend("tensorrt", tensorrt_gpu.describe(), tensorrt_gpu.TensorRtGraph, tensorrt_gpu.precision_used)


def _onnxruntime_gpu() -> Backend:
    from engines.backends import onnx_runtime

    onnx_runtime.require_cuda()

    def compile_graph(graph: GraphSpec, threads: int) -> CompiledGraph:
        return onnx_runtime.OrtGraph(graph, threads, onnx_runtime.CUDA)

    return Backend(
        "onnxruntime-gpu", onnx_runtime.describe(onnx_runtime.CUDA), compile_graph, onnx_runtime.precision_used
    )


@dataclass(frozen=True)
class Way:
    """A way of computing one graph: a CPU backend; a precision, fp32, bf16 or int8; and a number of threads."""

    backend: str
    precision: str
    threads: int

    def __str__(self) -> str:
        return f"{self.backend} {self.precision} x{self.threads}"


def compile_way(graph: GraphSpec, way: Way, backend: Backend) -> CompiledGraph:
    """Load a graph so that its backend computes it in this way. Raises EngineError."""
    if way.precision == INT8:
        if graph.quantised is None:
            raise EngineError(f"{graph.path}: there is no {INT8} form of it")
        return backend.compile(replace(graph, path=graph.quantised.path, precision="fp32"), way.threads)
    spec = graph.for_backend(backend.name)
    lower = spec.precision if spec.precision == "fp16" else way.precision  # fp16 is set by the file's types
    return backend.compile(replace(spec, precision=lower), way.threads)


# In order of preference. Loaders import their library only when called, as each may be missing.
_ON_CPU: dict[str, Callable[[], Backend]] = {"openvino": _openvino, "onnxruntime": _onnxruntime}
_BACKENDS = _ON_CPU | {"tensorrt": _tensorrt, "onnxruntime-gpu": _onnxruntime_gpu}


def find_backend(name: str | None = None) -> Backend:
    """Return the backend called `name`; None: that of AVATAR_ENGINE, else the first CPU backend that is installed.

    Raises:
        EngineError: the backend is unknown, none is installed, or it needs a GPU and none is found.
    """
    name = name or os.environ.get(BACKEND_VARIABLE) or None
    if name is not None and name not in _BACKENDS:
        raise EngineError(f"unknown engine {name}; expected one of {', '.join(_BACKENDS)}")
    return _first_installed((name,) if name else tuple(_ON_CPU))


def find_cpu_backend() -> Backend:
    """Return the backend of AVATAR_ENGINE if it runs on the CPU, else the first CPU backend that is installed.

    Raises:
        EngineError: see `find_backend`.
    """
    name = os.environ.get(BACKEND_VARIABLE)
    return _first_installed(tuple(_ON_CPU)) if name in _BACKENDS.keys() - _ON_CPU.keys() else find_backend(name)


def cpu_backends() -> list[Backend]:
    """Return all installed CPU backends, the preferred one first. Raises EngineError: none is installed."""
    found = []
    for name in _ON_CPU:
        with contextlib.suppress(EngineError):
            found.append(_first_installed((name,)))
    return found or [_first_installed(tuple(_ON_CPU))]


def _first_installed(candidates: Sequence[str]) -> Backend:
    for candidate in candidates:
        try:
            return _BACKENDS[candidate]()
        except ImportError:
            continue
    raise EngineError(f"no engine: {' or '.join(candidates)} is not installed; run `pip install {candidates[0]}`")


def backend_for(stage: StageSpec, name: str | None = None) -> Backend:
    """Return a stage's backend: the one asked for (see `find_backend`), else the fastest that is ready for it.

    Without such a request, a stage runs on the GPU only if its graphs have files for a GPU backend; small ones stay on
    the CPU, where they take no longer. TensorRT is ready once engines were built. If these do not fit this machine,
    that is an error, as a silent fallback to the CPU would look like a slow GPU.

    Raises:
        EngineError: see `find_backend`.
    """
    if name or os.environ.get(BACKEND_VARIABLE):
        return find_backend(name)
    for candidate, ready in (("tensorrt", _tensorrt_ready), ("onnxruntime-gpu", _onnxruntime_gpu_ready)):
        if stage.graphs and all(candidate in graph.alternatives for graph in stage.graphs) and ready(stage):
            return find_backend(candidate)
    return find_backend()


def _tensorrt_ready(stage: StageSpec) -> bool:
    built = all(tensorrt_plan.has_plans(graph.path_for("tensorrt")) for graph in stage.graphs)
    return built and find_gpu() is not None and importlib.util.find_spec("tensorrt") is not None


def _onnxruntime_gpu_ready(_: StageSpec) -> bool:
    if find_gpu() is None or importlib.util.find_spec("onnxruntime") is None:
        return False
    from engines.backends import onnx_runtime

    return onnx_runtime.has_cuda()


def open_stage(
    manifest: Manifest,
    stage: str,
    *,
    backend: str | None = None,
    threads: int = 2,
    ways: Mapping[str, Way] | None = None,
) -> Engine:
    """Open the engine of one stage, not yet active.

    backend: one of `engines.manifest_file.BACKENDS`; None as in `backend_for`.
    threads: processor threads; sound stages are small and use one.
    ways: chosen ways of computing graphs, by file name; see `engines.tuning`.

    Raises:
        ManifestError: the family has no such stage.
        EngineError: the backend is unknown, or none is installed.
    """
    spec = manifest.stage(stage)
    chosen = backend_for(spec, backend)

    def load(graph: GraphSpec) -> CompiledGraph:
        if (way := (ways or {}).get(graph.path.name)) is not None and chosen.name in _ON_CPU:
            return compile_way(graph, way, find_backend(way.backend))
        return chosen.compile(graph.for_backend(chosen.name), 1 if stage in SOUND_STAGES else threads)

    return GraphChain(spec, load)


class Engines:
    """All stages of a family, opened and warmed up once per process and shared by its sessions."""

    def __init__(self, manifest: Manifest, stages: Mapping[str, Engine]) -> None:
        self.manifest = manifest
        self._stages = dict(stages)

    @classmethod
    def open(
        cls,
        manifest: Manifest,
        *,
        backend: str | None = None,
        threads: int = 2,
        without: Collection[str] = (),
        ways: Mapping[str, Way] | None = None,
    ) -> Engines:
        """Open and activate every stage that has graphs, except those in `without`; `ways` as in `open_stage`.

        Raises:
            EngineError: a graph does not load or does not match the manifest, or the backend is unknown.
        """
        names = [name for name, spec in manifest.stages.items() if spec.graphs and name not in without]
        stages = {name: open_stage(manifest, name, backend=backend, threads=threads, ways=ways) for name in names}
        for engine in stages.values():
            engine.activate()
        return cls(manifest, stages)

    def __getitem__(self, stage: str) -> Engine:
        """Return the engine of a stage. Raises ManifestError: the family has no such stage."""
        self.manifest.stage(stage)
        return self._stages[stage]

    def close(self) -> None:
        """Deactivate every stage."""
        for engine in self._stages.values():
            engine.deactivate()

    def __enter__(self) -> Engines:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
