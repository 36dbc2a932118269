"""Graphs on the CPU through ONNX Runtime: the second path, for machines without OpenVINO."""

from __future__ import annotations

import onnxruntime

from engines.chain import GraphRequest, Tensor, check_graph
from engines.errors import EngineError
from engines.manifest import GraphSpec

PROVIDERS = ["CPUExecutionProvider"]
_ERRORS_ONLY = 3  # ONNX Runtime's severity scale


def precision_used(graph: GraphSpec) -> str:
    """The precision a graph is computed in: this backend has float32 only."""
    return "fp32"


class OrtGraph:
    """`engines.chain.CompiledGraph` on ONNX Runtime's CPU provider."""

    def __init__(self, graph: GraphSpec, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = _ERRORS_ONLY
        # Idle threads that spin would take the cores from audio.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._graph = graph
        try:
            self._session = onnxruntime.InferenceSession(str(graph.path), options, providers=PROVIDERS)
        except Exception as error:  # its exception classes share no base but Exception
            raise EngineError(f"{graph.path}: ONNX Runtime cannot load it: {_reason(error)}") from error
        check_graph(
            graph,
            {port.name: [size if isinstance(size, int) else None for size in port.shape] for port in self._inputs()},
            [port.name for port in self._session.get_outputs()],
        )

    def _inputs(self) -> list[onnxruntime.NodeArg]:
        inputs: list[onnxruntime.NodeArg] = self._session.get_inputs()
        return inputs

    def request(self) -> GraphRequest:
        """A new set of inputs; sessions can be shared by any number of them."""
        return _Request(self._session, self._graph)


class _Request:
    def __init__(self, session: onnxruntime.InferenceSession, graph: GraphSpec) -> None:
        self._session = session
        self._outputs = list(graph.outputs)
        self._feed: dict[str, Tensor] = {}

    def set(self, name: str, value: Tensor) -> None:
        self._feed[name] = value

    def run(self) -> dict[str, Tensor]:
        return dict(zip(self._outputs, self._session.run(self._outputs, self._feed), strict=True))


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def describe() -> str:
    """Backend, version and device, for people."""
    return f"ONNX Runtime {onnxruntime.__version__} on CPU"
