"""ONNX Runtime backend: on the CPU, without OpenVINO or as the reference; on NVIDIA GPUs, without TensorRT.

Values stay on the device that computed them: nothing is copied between the graphs of a stage.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import DTypeLike

from engines.backends.gpu import require_gpu
from engines.chain import DeviceTensor, GraphRequest, Tensor, check_graph
from engines.errors import EngineError, first_line
from engines.manifest import GraphSpec

CPU, CUDA = "cpu", "cuda"
_PROVIDERS: dict[str, list[Any]] = {
    CPU: ["CPUExecutionProvider"],
    # TF32 would round coordinates to 10 bits; tensors that may be rounded are already float16 in the graph.
    CUDA: [("CUDAExecutionProvider", {"use_tf32": "0"}), "CPUExecutionProvider"],
}
_ERRORS_ONLY = 3  # ONNX Runtime's severity scale


def precision_used(graph: GraphSpec) -> str:
    """Return the precision that a graph is computed in: fp32, unless the graph's types are fp16."""
    return "fp16" if graph.precision == "fp16" else "fp32"


def has_cuda() -> bool:
    """Return whether the installed ONNX Runtime supports NVIDIA GPUs."""
    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def require_cuda() -> None:
    """Check that graphs can run on a GPU.

    Raises:
        EngineError: no GPU is found, or the ONNX Runtime does not support it.
    """
    require_gpu()
    if not has_cuda():
        raise EngineError(
            f"ONNX Runtime {onnxruntime.__version__} here has no CUDA provider, only "
            f"{', '.join(onnxruntime.get_available_providers())}; "
            "run `pip uninstall onnxruntime` and `pip install onnxruntime-gpu`"
        )


class OrtGraph:
    """Implements `engines.chain.CompiledGraph` on ONNX Runtime. device: CPU or CUDA."""

    def __init__(self, graph: GraphSpec, threads: int, device: str = CPU) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = _ERRORS_ONLY
        # Idle threads that spin would take processor time from the audio.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._graph = graph
        self._device = device
        try:
            self._session = onnxruntime.InferenceSession(str(graph.path), options, providers=_PROVIDERS[device])
        except Exception as error:  # its exception classes have no common base but Exception
            raise EngineError(f"{graph.path}: ONNX Runtime cannot load it: {first_line(error)}") from error
        if device == CUDA and "CUDAExecutionProvider" not in self._session.get_providers():
            raise EngineError(
                f"{graph.path}: ONNX Runtime could not start its CUDA provider; the CUDA and cuDNN libraries that "
                f"onnxruntime-gpu {onnxruntime.__version__} asks for may be missing"
            )
        check_graph(
            graph,
            {port.name: [size if isinstance(size, int) else None for size in port.shape] for port in self._inputs()},
            [port.name for port in self._session.get_outputs()],
        )

    def _inputs(self) -> list[onnxruntime.NodeArg]:
        inputs: list[onnxruntime.NodeArg] = self._session.get_inputs()
        return inputs

    def request(self) -> GraphRequest:
        """Return a new request; any number of them can share the session."""
        return _Request(self._session, self._graph, self._device)


class _Value:
    """Implements `engines.chain.DeviceTensor`: an output of ONNX Runtime, left on its device."""

    def __init__(self, value: onnxruntime.OrtValue) -> None:
        self.value = value

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Tensor:
        array: Tensor = np.asarray(self.value.numpy(), dtype)
        return array.copy() if copy else array


class _Request:
    def __init__(self, session: onnxruntime.InferenceSession, graph: GraphSpec, device: str) -> None:
        self._session = session
        self._outputs = tuple(graph.outputs)
        self._device = device
        self._binding = session.io_binding()
        self._held: dict[str, Tensor] = {}

    def set(self, name: str, value: Tensor | DeviceTensor) -> None:
        if isinstance(value, _Value):
            self._binding.bind_ortvalue_input(name, value.value)
            return
        array = np.asarray(value)
        self._held[name] = array  # on the CPU the value shares the array's memory
        self._binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array, self._device, 0))

    def run(self) -> dict[str, _Value]:
        for name in self._outputs:  # bound again, as the shape of a result may change
            self._binding.bind_output(name, self._device)
        self._session.run_with_iobinding(self._binding)
        return dict(zip(self._outputs, map(_Value, self._binding.get_outputs()), strict=True))


def describe(device: str = CPU) -> str:
    """Return backend, version and device as text."""
    return f"ONNX Runtime {onnxruntime.__version__} on {require_gpu().name if device == CUDA else 'CPU'}"
