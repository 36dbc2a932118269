"""A stage as a chain of compiled graphs: values pass by name, and every tensor is checked on entry.

Backends provide `CompiledGraph`; this module is their common part.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from engines.errors import EngineError, first_line
from engines.manifest import GraphSpec, StageSpec, TensorSpec

Tensor = NDArray[Any]  # of a dtype that the manifest allows


class DeviceTensor(Protocol):
    """A value in a device's memory; converting it to a numpy array downloads it."""

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Tensor: ...


class GraphRequest(Protocol):
    """A reusable call of a graph: inputs stay set until they are replaced."""

    def set(self, name: str, value: Tensor | DeviceTensor) -> None:
        """Set an input. It is referenced, not copied, and must not change before `run`; device tensors stay there."""

    def run(self) -> Mapping[str, Tensor | DeviceTensor]:
        """Compute all outputs; they may be views that the next `run` overwrites."""


class CompiledGraph(Protocol):
    """A graph loaded on a device."""

    def request(self) -> GraphRequest:
        """Return a new, independent request."""


class GraphChain:
    """Implements `engines.runtime.Engine` for any backend. `compile_graph` loads one graph or raises EngineError."""

    def __init__(self, spec: StageSpec, compile_graph: Callable[[GraphSpec], CompiledGraph]) -> None:
        if not spec.graphs:
            raise EngineError(f"stage {spec.name} has no graphs to run")
        self.spec = spec
        self._compile = compile_graph
        self._graphs: list[CompiledGraph] = []
        self._own: ChainBinding | None = None

    def activate(self) -> None:
        """Compile every graph and run the stage once, so that the first real call is as fast as later ones."""
        if self._own is not None:
            return
        self._graphs = [self._compile(graph) for graph in self.spec.graphs]
        own = ChainBinding(self.spec, self._graphs, {}, None)
        try:
            own.infer(
                {name: np.zeros(smallest_shape(spec), np.dtype(spec.dtype)) for name, spec in self.spec.inputs.items()}
            )
        except EngineError:
            raise
        except Exception as error:
            raise EngineError(f"stage {self.spec.name} fails in its warm-up: {first_line(error)}") from error
        self._own = own

    def infer(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run the stage on all its inputs and return all its outputs."""
        return self._active().infer(inputs)

    def bind(self, constants: Mapping[str, Tensor], outputs: Collection[str] | None = None) -> ChainBinding:
        """Return a binding that holds `constants` and computes `outputs` (None: all)."""
        self._active()
        return ChainBinding(self.spec, self._graphs, constants, outputs)

    def deactivate(self) -> None:
        """Release the compiled graphs."""
        self._own = None
        self._graphs = []

    def _active(self) -> ChainBinding:
        if self._own is None:
            raise EngineError(f"stage {self.spec.name} is not active; call activate() first")
        return self._own


class ChainBinding:
    """Implements `engines.runtime.Binding` with one request, its constants set, per graph that the outputs need."""

    def __init__(
        self,
        spec: StageSpec,
        graphs: list[CompiledGraph],
        constants: Mapping[str, Tensor],
        outputs: Collection[str] | None,
    ) -> None:
        self._spec = spec
        self._wanted = frozenset(spec.outputs if outputs is None else outputs)
        if unknown := self._wanted - spec.outputs.keys():
            raise EngineError(f"stage {spec.name} has no output {', '.join(sorted(unknown))}; {_listing(spec.outputs)}")
        needed = _needed(spec.graphs, self._wanted)
        self._steps = [
            (graph, compiled.request())
            for graph, compiled in zip(spec.graphs, graphs, strict=True)
            if graph.path in needed
        ]
        if alien := constants.keys() - spec.inputs.keys():
            raise EngineError(f"stage {spec.name} has no input {', '.join(sorted(alien))}; {_listing(spec.inputs)}")
        self._varying = {name: tensor for name, tensor in spec.inputs.items() if name not in constants}
        self._symbols: dict[str, int] = {}
        for name, value in constants.items():
            checked = check_tensor(spec.name, name, value, spec.inputs[name], self._symbols)
            self._set(name, checked)

    def infer(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run the stage on the constants and `inputs`; return arrays that are not reused by later calls.

        Raises:
            EngineError: an input is missing, unknown, or has a shape or dtype that is not the manifest's.
        """
        if inputs.keys() != self._varying.keys():
            given = ", ".join(inputs) or "nothing"
            raise EngineError(f"stage {self._spec.name} was given {given}; {_listing(self._varying)}")
        symbols = dict(self._symbols)
        for name, value in inputs.items():
            self._set(name, check_tensor(self._spec.name, name, value, self._varying[name], symbols))
        results: dict[str, Tensor] = {}
        for position, (_, request) in enumerate(self._steps):
            for name, made in request.run().items():
                self._set(name, made, after=position)
                if name in self._wanted:
                    results[name] = np.array(made)
        return results

    def _set(self, name: str, value: Tensor | DeviceTensor, after: int = -1) -> None:
        """Set a value on every graph after position `after` that takes it."""
        for graph, request in self._steps[after + 1 :]:
            if name in graph.inputs:
                request.set(name, value)


def check_tensor(stage: str, name: str, value: Tensor, spec: TensorSpec, symbols: dict[str, int]) -> Tensor:
    """Check `value` against `spec` and return it in C order; sizes of symbols are added to `symbols` and must agree.

    Raises:
        EngineError: the dtype or shape differs.
    """
    fits = value.dtype == np.dtype(spec.dtype) and value.ndim == len(spec.shape)
    if fits:
        for found, dim in zip(value.shape, spec.shape, strict=True):
            fits = fits and found == (symbols.setdefault(dim, found) if isinstance(dim, str) else dim)
    if not fits:
        known = {symbol: size for symbol, size in symbols.items() if symbol in spec.shape}
        where = f" with {', '.join(f'{k}={v}' for k, v in known.items())}" if known else ""
        found_text = f"{value.dtype}[{','.join(map(str, value.shape))}]"
        raise EngineError(f"stage {stage}: {name} is {found_text}, expected {spec}{where}")
    return np.ascontiguousarray(value)


def check_graph(graph: GraphSpec, inputs: Mapping[str, list[int | None]], outputs: Collection[str]) -> None:
    """Compare the declarations of a loaded graph with the manifest; None in a shape is an open dimension.

    Raises:
        EngineError: they differ.
    """
    for kind, declared, stated in (("input", inputs.keys(), graph.inputs), ("output", outputs, graph.outputs)):
        if set(declared) != set(stated):
            raise EngineError(
                f"{graph.path}: its {kind}s are {', '.join(sorted(declared))}; "
                f"the manifest says {', '.join(sorted(stated))}"
            )
    for name, found in inputs.items():
        spec = graph.inputs[name]
        pairs = zip(found, spec.shape, strict=False)
        if len(found) != len(spec.shape) or any(_clash(size, dim) for size, dim in pairs):
            shown = ",".join("?" if size is None else str(size) for size in found)
            raise EngineError(f"{graph.path}: input {name} is [{shown}], the manifest says {spec}")


def _needed(graphs: Sequence[GraphSpec], outputs: Collection[str]) -> set[Path]:
    """Return the files of the graphs that these outputs depend on."""
    wanted, needed = set(outputs), set[Path]()
    for graph in reversed(graphs):
        if wanted & graph.outputs.keys():
            needed.add(graph.path)
            wanted |= graph.inputs.keys()
    return needed


def _clash(found: int | None, stated: int | str) -> bool:
    return found is not None and isinstance(stated, int) and found != stated


def smallest_shape(spec: TensorSpec) -> tuple[int, ...]:
    """Return a tensor's shape, with 1 for every symbol."""
    return tuple(1 if isinstance(dim, str) else dim for dim in spec.shape)


def _listing(tensors: Mapping[str, TensorSpec]) -> str:
    return "expected " + (", ".join(f"{name} {spec}" for name, spec in tensors.items()) or "nothing")
