"""The `Engine` protocol, and how a stage of a family is opened on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from engines.chain import CompiledGraph, GraphChain, Tensor
from engines.errors import EngineError
from engines.manifest import GraphSpec, Manifest, StageSpec

BACKEND_VARIABLE = "AVATAR_ENGINE"


class Binding(Protocol):
    """An engine with some of its inputs held, such as what belongs to an avatar and never changes between frames."""

    def infer(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run the stage on the held inputs and these; arrays returned are the caller's own."""


class Engine(Protocol):
    """One stage, runnable. Not safe to use from two threads at a time."""

    @property
    def spec(self) -> StageSpec:
        """What the stage takes and gives."""

    def activate(self) -> None:
        """Compile and warm up; a second call does nothing."""

    def infer(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run the stage; every input and output by the manifest's names, checked against its shapes."""

    def bind(self, constants: Mapping[str, Tensor], outputs: Collection[str] | None = None) -> Binding:
        """Hold `constants` for many calls, so that they are checked and handed over once.

        outputs: the outputs wanted from each call; None is all of them.
        """

    def deactivate(self) -> None:
        """Release what `activate` took; bindings made before are dead."""


@dataclass(frozen=True)
class Backend:
    """A way to run graphs on this machine. `compile` loads one graph; `precision` tells what it will compute in."""

    name: str
    description: str
    compile: Callable[[GraphSpec, int], CompiledGraph]
    precision: Callable[[GraphSpec], str]


def _openvino() -> Backend:
    from engines import openvino

    return Backend("openvino", openvino.describe(), openvino.OpenVinoGraph, openvino.precision_used)


def _onnxruntime() -> Backend:
    from engines import ort

    return Backend("onnxruntime", ort.describe(), ort.OrtGraph, ort.precision_used)


# In order of preference. Loaders import their library only when asked, as either may be absent.
_BACKENDS: dict[str, Callable[[], Backend]] = {"openvino": _openvino, "onnxruntime": _onnxruntime}


def find_backend(name: str | None = None) -> Backend:
    """The backend called `name`; None takes the environment's AVATAR_ENGINE, else the first that is installed.

    Raises:
        EngineError: unknown backend, or none installed.
    """
    name = name or os.environ.get(BACKEND_VARIABLE) or None
    if name is not None and name not in _BACKENDS:
        raise EngineError(f"unknown engine {name}; expected one of {', '.join(_BACKENDS)}")
    candidates = [name] if name else list(_BACKENDS)
    for candidate in candidates:
        try:
            return _BACKENDS[candidate]()
        except ImportError:
            continue
    raise EngineError(f"no engine: {' or '.join(candidates)} is not installed; run `pip install {candidates[0]}`")


def open_stage(manifest: Manifest, stage: str, *, backend: str | None = None, threads: int = 2) -> Engine:
    """An engine for one stage, not yet active.

    backend: "openvino" or "onnxruntime"; None as in `find_backend`.

    Raises:
        ManifestError: the family has no such stage.
        EngineError: unknown backend, or none installed.
    """
    chosen = find_backend(backend)
    return GraphChain(manifest.stage(stage), lambda graph: chosen.compile(graph, threads))


class Engines:
    """All stages of a family, opened and warmed up once per process and shared by its sessions."""

    def __init__(self, manifest: Manifest, stages: Mapping[str, Engine]) -> None:
        self.manifest = manifest
        self._stages = dict(stages)

    @classmethod
    def open(cls, manifest: Manifest, *, backend: str | None = None, threads: int = 2) -> Engines:
        """Open and activate every stage that has graphs.

        Raises:
            EngineError: a graph that does not load or is not what the manifest says; unknown backend.
        """
        names = [name for name, spec in manifest.stages.items() if spec.graphs]
        stages = {name: open_stage(manifest, name, backend=backend, threads=threads) for name in names}
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
