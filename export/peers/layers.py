"""Layers as data, and the time of one on this machine, measured as a single-layer graph with random weights."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engines.manifest import GraphSpec, TensorSpec
from engines.runtime import Backend

OPSET = 17
SEED = 1
RUNS = 3  # the fastest counts
LONG_S = 0.2  # a layer that takes at least this long is run once


@dataclass(frozen=True)
class Conv:
    """A convolution, in 3 dimensions if `size` has three; `up`: a transposed one that doubles the size.

    size: of its input; kernel: pixels a side; pad: at each border, half the kernel if None.
    """

    inputs: int
    outputs: int
    size: tuple[int, ...]
    kernel: int = 3
    stride: int = 1
    pad: int | None = None
    up: bool = False

    @property
    def work(self) -> int:
        """Multiplications."""
        spots = np.prod(self.size if self.up else self._made())
        return int(spots) * self.inputs * self.outputs * self.kernel ** len(self.size)

    def nodes(self, random: np.random.Generator) -> tuple[list[Any], list[Any], list[list[int]]]:
        """Return ONNX nodes from "x0" to "y", initial values, and the shape of each input."""
        dims = len(self.size)
        pads = [self._pad()] * (2 * dims)
        plane = (self.inputs, self.outputs) if self.up else (self.outputs, self.inputs)
        weight = _values(random, "w", [*plane, *[self.kernel] * dims])
        more: dict[str, Any] = {"output_padding": [1] * dims} if self.up else {}
        kind, stride = ("ConvTranspose", 2) if self.up else ("Conv", self.stride)
        node = helper.make_node(kind, ["x0", "w"], ["y"], pads=pads, strides=[stride] * dims, **more)
        return [node], [weight], [[1, self.inputs, *self.size]]

    def _pad(self) -> int:
        return self.kernel // 2 if self.pad is None else self.pad

    def _made(self) -> tuple[int, ...]:
        return tuple((side + 2 * self._pad() - self.kernel) // self.stride + 1 for side in self.size)


@dataclass(frozen=True)
class Linear:
    """A linear layer over `tokens` vectors."""

    inputs: int
    outputs: int
    tokens: int

    @property
    def work(self) -> int:
        """Multiplications."""
        return self.inputs * self.outputs * self.tokens

    def nodes(self, random: np.random.Generator) -> tuple[list[Any], list[Any], list[list[int]]]:
        """Return the same as `Conv.nodes`."""
        weight = _values(random, "w", [self.inputs, self.outputs])
        return [helper.make_node("MatMul", ["x0", "w"], ["y"])], [weight], [[1, self.tokens, self.inputs]]


@dataclass(frozen=True)
class Attention:
    """Attention of `tokens` to `others`, without its linear layers."""

    channels: int
    tokens: int
    others: int
    heads: int = 8

    @property
    def work(self) -> int:
        """Multiplications."""
        return 2 * self.channels * self.tokens * self.others

    def nodes(self, random: np.random.Generator) -> tuple[list[Any], list[Any], list[list[int]]]:
        """Return the same as `Conv.nodes`; inputs are queries, keys (transposed) and values."""
        width = self.channels // self.heads
        nodes = [
            helper.make_node("MatMul", ["x0", "x1"], ["near"]),
            helper.make_node("Softmax", ["near"], ["share"], axis=-1),
            helper.make_node("MatMul", ["share", "x2"], ["y"]),
        ]
        shapes = [[self.heads, self.tokens, width], [self.heads, width, self.others], [self.heads, self.others, width]]
        return nodes, [], shapes


Layer = Conv | Linear | Attention


def seconds(layer: Layer, backends: Sequence[Backend], folder: Path) -> float:
    """Return the processor seconds of a layer in the fastest of the backends, on one thread.

    Raises EngineError, OSError.
    """
    random = np.random.default_rng(SEED)
    nodes, values, shapes = layer.nodes(random)
    inputs = {f"x{number}": shape for number, shape in enumerate(shapes)}
    graph = helper.make_graph(
        nodes,
        "layer",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        values,
    )
    path = folder / "layer.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8), path)
    specs = {name: TensorSpec(tuple(shape)) for name, shape in inputs.items()}
    spec = GraphSpec(path, "fp32", specs, {"y": TensorSpec(("n",))})
    given = {name: random.standard_normal(shape, np.float32) for name, shape in inputs.items()}
    return min(_timed(spec, backend, given) for backend in backends)


def _timed(spec: GraphSpec, backend: Backend, inputs: dict[str, Any]) -> float:
    compiled = backend.compile(spec, 1)
    request = compiled.request()
    for name, value in inputs.items():
        request.set(name, value)
    taken: list[float] = []
    while len(taken) < (RUNS if min(taken, default=0) < LONG_S else 1):
        start = time.process_time()
        request.run()
        taken.append(time.process_time() - start)
    return min(taken)


def _values(random: np.random.Generator, name: str, shape: list[int]) -> Any:
    scale = np.float32(1 / np.sqrt(np.prod(shape[1:])))
    return numpy_helper.from_array(random.standard_normal(shape, np.float32) * scale, name)
