"""OpenVINO backend for the CPU."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import openvino

from engines.chain import DeviceTensor, GraphRequest, Tensor, check_graph
from engines.errors import EngineError
from engines.manifest import GraphSpec

DEVICE = "CPU"


@cache
def _core() -> openvino.Core:
    return openvino.Core()


@cache
def has_bf16() -> bool:
    """Return whether this CPU supports bfloat16; emulated, it would be slower than float32."""
    return "BF16" in _core().get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")


def precision_used(graph: GraphSpec) -> str:
    """Return the precision that a graph is computed in on this machine."""
    return "bf16" if graph.precision == "bf16" and has_bf16() else "fp32"


class OpenVinoGraph:
    """Implements `engines.chain.CompiledGraph` on OpenVINO's CPU device."""

    def __init__(self, graph: GraphSpec, threads: int) -> None:
        config = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": str(threads),
            "INFERENCE_PRECISION_HINT": "bf16" if precision_used(graph) == "bf16" else "f32",
        }
        self._graph = graph
        try:
            model = _core().read_model(graph.path)
            self._compiled = _core().compile_model(model, DEVICE, config)
        except Exception as error:
            # OpenVINO raises plain RuntimeError, whose text is a stack of locations with the reason in the last line.
            raise EngineError(f"{graph.path}: OpenVINO cannot load it: {_reason(error)}") from error
        check_graph(
            graph,
            {_name(port, graph.inputs): _shape(port) for port in self._compiled.inputs},
            [_name(port, graph.outputs) for port in self._compiled.outputs],
        )

    def request(self) -> GraphRequest:
        """Return a new inference request."""
        return _Request(self._compiled.create_infer_request(), self._graph)


class _Request:
    def __init__(self, request: Any, graph: GraphSpec) -> None:
        self._request = request
        self._outputs = tuple(graph.outputs)
        self._held: dict[str, Tensor] = {}

    def set(self, name: str, value: Tensor | DeviceTensor) -> None:
        array = np.asarray(value)
        self._held[name] = array  # the tensor shares the array's memory and does not keep it alive
        self._request.set_tensor(name, openvino.Tensor(array, shared_memory=True))

    def run(self) -> dict[str, Tensor]:
        self._request.infer()
        return {name: self._request.get_tensor(name).data for name in self._outputs}


def _name(port: Any, expected: object) -> str:
    """Return a port's name: of several, the one in the manifest if present."""
    names = sorted(port.get_names())
    matching = [name for name in names if isinstance(expected, dict) and name in expected]
    return str((matching or names or ["(unnamed)"])[0])


def _shape(port: Any) -> list[int | None]:
    return [dim.get_length() if dim.is_static else None for dim in port.get_partial_shape()]


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def describe() -> str:
    """Return backend, version and device as text."""
    return f"OpenVINO {openvino.__version__.split('-')[0]} on CPU{' with bf16' if has_bf16() else ''}"
