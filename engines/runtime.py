"""The `Engine` protocol, and how a stage of a family is opened on this machine."""

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
    """An engine with some of its inputs held, such as what belongs to an avatar and never changes between frames."""

    def infer(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run the stage on the held inputs and these; arrays returned are the caller's own."""


class Engine(Protocol):
    """One stage, runnable. Not safe to use from two threads at a time; each binding may have a thread of its own."""

    @property
    def spec(self) -> StageSpec:
        """What the stage takes and gives."""

    def activate(self) -> None:
        """Compile and warm up; a second call does nothing."""

    def infer(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run the stage; every input and output by the manifest's names, checked against its shapes."""

    def bind(self, constants: Mapping[str, Tensor], outputs: Collection[str] | None = None) -> Binding:
        """Hold `constants` for many calls, so that they are checked and handed over once. Safe in any thread.

        outputs: the outputs wanted from each call; None is all of them.
        """

    def deactivate(self) -> None:
        """Release what `activate` took; bindings made before are dead."""


@dataclass(frozen=True)
class Backend:
    """A way to run graphs on this machine. `compile` loads one graph; `precision` returns what it computes in."""

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
    """A way of computing one graph: a backend of the CPU; fp32, bf16 or int8; and how many threads."""

    backend: str
    precision: str
    threads: int

    def __str__(self) -> str:
        return f"{self.backend} {self.precision} x{self.threads}"


def compile_way(graph: GraphSpec, way: Way, backend: Backend) -> CompiledGraph:
    """Load a graph to be computed in this way by its backend. Raises EngineError."""
    if way.precision == INT8:
        if graph.quantised is None:
            raise EngineError(f"{graph.path}: there is no {INT8} form of it")
        return backend.compile(replace(graph, path=graph.quantised.path, precision="fp32"), way.threads)
    spec = graph.for_backend(backend.name)
    lower = spec.precision if spec.precision == "fp16" else way.precision  # fp16 is in the file itself
    return backend.compile(replace(spec, precision=lower), way.threads)


# In order of preference. Loaders import their library only when asked, as each may be absent.
_ON_CPU: dict[str, Callable[[], Backend]] = {"openvino": _openvino, "onnxruntime": _onnxruntime}
_BACKENDS = _ON_CPU | {"tensorrt": _tensorrt, "onnxruntime-gpu": _onnxruntime_gpu}


def find_backend(name: str | None = None) -> Backend:
    """The backend called `name`; None takes the environment's AVATAR_ENGINE, else the CPU's first that is installed.

    Raises:
        EngineError: unknown backend, none installed, or one for a GPU where there is none.
    """
    name = name or os.environ.get(BACKEND_VARIABLE) or None
    if name is not None and name not in _BACKENDS:
        raise EngineError(f"unknown engine {name}; expected one of {', '.join(_BACKENDS)}")
    return _first_installed((name,) if name else tuple(_ON_CPU))


def find_cpu_backend() -> Backend:
    """The environment's AVATAR_ENGINE if that runs on the CPU, else the first CPU backend that is installed.

    Raises:
        EngineError: as `find_backend`.
    """
    name = os.environ.get(BACKEND_VARIABLE)
    return _first_installed(tuple(_ON_CPU)) if name in _BACKENDS.keys() - _ON_CPU.keys() else find_backend(name)


def cpu_backends() -> list[Backend]:
    """All of the CPU's that are installed, the preferred one first. Raises EngineError where there is none."""
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
    """The backend a stage runs on: the one asked for (see `find_backend`), else the fastest that is ready for it.

    A stage goes to the GPU by itself only if its graphs have files for a GPU's backend; the small ones stay on the
    CPU, where they take no longer. TensorRT is ready once engines were built; that they do not fit this machine is
    then an error, as a silent fall to the CPU would pass for a slow GPU.

    Raises:
        EngineError: as `find_backend`.
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
    """An engine for one stage, not yet active.

    backend: one of `engines.manifest_file.BACKENDS`; None as in `backend_for`.
    threads: of the processor; what sound passes through is small and gets one.
    ways: of graphs for which one was chosen, by the name of their file; see `engines.tuning`.

    Raises:
        ManifestError: the family has no such stage.
        EngineError: unknown backend, or none installed.
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
        """Open and activate every stage that has graphs, but those in `without`; `ways` as in `open_stage`.

        Raises:
            EngineError: a graph that does not load or is not what the manifest says; unknown backend.
        """
        names = [name for name, spec in manifest.stages.items() if spec.graphs and name not in without]
        stages = {name: open_stage(manifest, name, backend=backend, threads=threads, ways=ways) for name in names}
        for engine in stages.values():
            engine.activate()
        return cls(manifest, stages)

    def __getitem__(self, stage: str) -> Engine:
        """The engine of a stage; ManifestError where the family has none."""
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
