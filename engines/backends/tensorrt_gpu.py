"""TensorRT backend for NVIDIA GPUs: engines are built on this machine, and values stay on the device.

Uploads, the engines of a stage and the download of its result are queued on one stream; only the download waits.
A graph of fixed shapes is recorded as a CUDA graph in its first run, and launched as a whole from then on.

TensorRT is not imported before a driver has answered: without one, its libraries can crash the process.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import weakref
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from engines.backends.gpu import require_gpu
from engines.backends.tensorrt_plan import find_plan
from engines.chain import DeviceTensor, GraphRequest, Tensor, check_graph
from engines.errors import EngineError
from engines.manifest import GraphSpec

MODULE = "tensorrt"
# 11.2 is the first version that samples volumes without a plugin.
MIN_VERSION = (11, 2)
INSTALL = "pip install 'tensorrt>=11.2' 'cuda-bindings>=12.8'"


def precision_used(graph: GraphSpec) -> str:
    """Return the precision that a graph is computed in: that of the file's types, as engines are strongly typed."""
    return "fp16" if graph.precision == "fp16" else "fp32"


@cache
def library() -> ModuleType:
    """Import TensorRT, after checking that this is safe.

    Raises:
        EngineError: no GPU or no TensorRT is found, or TensorRT is too old.
    """
    require_gpu()
    try:
        trt = importlib.import_module(MODULE)
    except ImportError as error:
        raise EngineError(f"TensorRT cannot be loaded ({error}); {INSTALL}") from None
    found = tuple(int(part) for part in trt.__version__.split(".")[:2])
    if found < MIN_VERSION:
        raise EngineError(
            f"TensorRT {trt.__version__} found, {'.'.join(map(str, MIN_VERSION))} or newer expected "
            f"(older ones cannot sample volumes); {INSTALL}"
        )
    return trt


@cache
def _cuda() -> Any:
    try:
        return importlib.import_module("cuda.bindings.runtime")
    except ImportError as error:
        raise EngineError(f"CUDA's Python bindings cannot be loaded ({error}); {INSTALL}") from None


def call(function: str, *arguments: Any) -> Any:
    """Call a function of the CUDA runtime and return its result, if it has one.

    Raises:
        EngineError: the call fails.
    """
    status, *results = getattr(_cuda(), function)(*arguments)
    if int(status):
        raise EngineError(f"{function} failed: {_cuda().cudaGetErrorString(status)[1].decode()}")
    return results[0] if results else None


@cache
def _stream() -> Any:
    """Return the one stream that everything is queued on."""
    return call("cudaStreamCreate")


class DeviceArray:
    """Implements `engines.chain.DeviceTensor`: an array in the GPU's memory, freed with this object."""

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self.size = max(1, int(np.prod(shape)) * self.dtype.itemsize)
        self.address = int(call("cudaMalloc", self.size))
        weakref.finalize(self, _free, self.address)

    def upload(self, array: Tensor) -> None:
        """Queue a copy of `array`, of this shape and dtype, to the device."""
        kind = _cuda().cudaMemcpyKind.cudaMemcpyHostToDevice
        call("cudaMemcpyAsync", self.address, array.ctypes.data, array.nbytes, kind, _stream())

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Tensor:
        """Wait for all queued work, and download the array."""
        host = np.empty(self.shape, self.dtype)
        kind = _cuda().cudaMemcpyKind.cudaMemcpyDeviceToHost
        call("cudaMemcpyAsync", host.ctypes.data, self.address, host.nbytes, kind, _stream())
        call("cudaStreamSynchronize", _stream())
        return host if dtype is None else host.astype(dtype, copy=False)


class TensorRtGraph:
    """Implements `engines.chain.CompiledGraph`: a loaded engine."""

    def __init__(self, graph: GraphSpec, threads: int) -> None:
        trt, gpu = library(), require_gpu()
        path = find_plan(graph.path, MODULE, trt.__version__, gpu)
        self._graph = graph
        log = error_log(trt)
        with no_collection():
            self._runtime = trt.Runtime(log)
            self.engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if self.engine is None:
            raise EngineError(f"{path}: TensorRT cannot load it: {log.last}")
        shapes: dict[str, list[int | None]] = {}
        outputs = []
        for name in map(self.engine.get_tensor_name, range(self.engine.num_io_tensors)):
            if self.engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT:
                shapes[name] = [None if size < 0 else size for size in self.engine.get_tensor_shape(name)]
            else:
                outputs.append(name)
        check_graph(graph, shapes, outputs)

    def request(self) -> GraphRequest:
        """Return a new execution context with separate buffers."""
        return _Request(self.engine, self._graph)


class _Request:
    def __init__(self, engine: Any, graph: GraphSpec) -> None:
        self._context = engine.create_execution_context()
        if self._context is None:
            raise EngineError(f"{graph.path}: no execution context; the GPU may be out of memory")
        self._graph = graph
        self._fixed = all(isinstance(dim, int) for spec in graph.inputs.values() for dim in spec.shape)
        self._held: dict[str, DeviceArray] = {}  # buffer that each input and output is bound to
        self._owned: dict[str, DeviceArray] = {}  # upload buffers for inputs that come from the host
        self._recorded: Any = None

    def set(self, name: str, value: Tensor | DeviceTensor) -> None:
        if not isinstance(value, DeviceArray):
            value = self._upload(name, np.ascontiguousarray(value))
        self._context.set_input_shape(name, value.shape)
        self._bind(name, value)

    def run(self) -> dict[str, DeviceArray]:
        """Queue the engine on the stream; return its outputs by name. Raises EngineError."""
        outputs = {name: self._output(name) for name in self._graph.outputs}
        if self._recorded is not None:
            call("cudaGraphLaunch", self._recorded, _stream())
            return outputs
        self._enqueue()
        if self._fixed:
            # TensorRT requires one plain run before recording, which settles everything that depends on shapes.
            self._recorded = self._record()
        return outputs

    def _upload(self, name: str, array: Tensor) -> DeviceArray:
        owned = self._owned.get(name)
        if owned is None or owned.shape != array.shape:
            owned = self._owned[name] = DeviceArray(array.shape, array.dtype)
        owned.upload(array)
        return owned

    def _output(self, name: str) -> DeviceArray:
        shape = tuple(self._context.get_tensor_shape(name))
        held = self._held.get(name)
        if held is None or held.shape != shape:
            held = DeviceArray(shape, self._graph.outputs[name].dtype)
        self._bind(name, held)
        return held

    def _bind(self, name: str, value: DeviceArray) -> None:
        """Bind a tensor of the engine to a buffer; a recording with another buffer is discarded."""
        if self._held.get(name) is value:
            return
        self._held[name] = value
        self._context.set_tensor_address(name, value.address)
        self._forget()

    def _enqueue(self) -> None:
        if not self._context.execute_async_v3(int(_stream())):
            raise EngineError(f"{self._graph.path}: TensorRT could not run it")

    def _record(self) -> Any:
        call("cudaStreamBeginCapture", _stream(), _cuda().cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal)
        try:
            self._enqueue()
        finally:
            recording = call("cudaStreamEndCapture", _stream())
        executable = call("cudaGraphInstantiate", recording, 0)
        call("cudaGraphDestroy", recording)
        return executable

    def _forget(self) -> None:
        if self._recorded is not None:
            call("cudaGraphExecDestroy", self._recorded)
            self._recorded = None


def _free(address: int) -> None:
    """Free device memory. At process exit the driver, and the memory with it, may be gone already."""
    _cuda().cudaFree(address)


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Disable cyclic garbage collection in the block.

    TensorRT calls our logger while it holds an internal lock. If a collection during that call freed another of its
    objects, freeing would wait for the same lock: a deadlock (seen with tensorrt_rtx 1.6).
    """
    gc.collect()  # collect garbage now, while no lock is held
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def error_log(trt: ModuleType) -> Any:
    """Return a logger that keeps the last error for our message and prints nothing. Use inside `no_collection`."""

    class ErrorLog(trt.ILogger):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.last = "no reason given"

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.Logger.ERROR, trt.Logger.INTERNAL_ERROR):
                self.last = message.strip().splitlines()[0]

    return ErrorLog()


def describe() -> str:
    """Return backend, version and device as text."""
    gpu = require_gpu()
    return f"TensorRT {library().__version__} on {gpu.name} (compute capability {gpu.capability})"
