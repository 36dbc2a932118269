"""Write one graph as ONNX: check it, infer its shapes, and label it with its origin."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn
from torch.jit._trace import TracerWarning

from engines.errors import AvatarError
from engines.files import replacing
from engines.manifest_file import Shape, TypedTensor

TOLERANCE = 1e-4  # relative to the spread, for the same float32 sums in another order
HALF_TOLERANCE = 2e-2  # the same, for float16 graphs: only detects gross errors, such as swapped values
OPSET = 20  # the first whose GridSample supports volumes
TOOLS = f"torch {torch.__version__}, onnx {onnx.__version__}"


class ExportError(AvatarError):
    """An exported graph differs from its source module."""


@dataclass(frozen=True)
class GraphPlan:
    """A module to export under a file name without suffix: example inputs and the names of its outputs.

    half: whether it may be computed in 16 bits. batched: inputs and outputs whose first dimension is free.
    openvino, gpu: modules that compute the same, with operators supported by OpenVINO or in a form that suits GPUs.
    """

    name: str
    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...]
    half: bool = False
    batched: tuple[str, ...] = ()
    openvino: nn.Module | None = None
    gpu: nn.Module | None = None


@contextmanager
def quietly() -> Iterator[None]:
    """Suppress the exporter's warnings about intended properties."""
    with warnings.catch_warnings():
        # The newer exporter writes details of our source files into the graph, and is slower.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=TracerWarning)  # sizes are constant on purpose
        warnings.filterwarnings("ignore", message="Constant folding")
        warnings.filterwarnings("ignore", message="ONNX export mode is set")  # instance norm has only this mode
        yield


def trace(module: nn.Module, plan: GraphPlan, path: Path) -> onnx.ModelProto:
    """Export `module` as ONNX through the file `path`, which is kept."""
    with torch.no_grad(), quietly():
        torch.onnx.export(
            module.eval(),
            tuple(plan.inputs.values()),
            str(path),
            input_names=list(plan.inputs),
            output_names=list(plan.outputs),
            dynamic_axes={name: {0: "n"} for name in plan.batched},
            opset_version=OPSET,
            dynamo=False,
        )
    return onnx.load(path)


def save(model: onnx.ModelProto, path: Path, labels: Mapping[str, str]) -> None:
    """Check a model, add inferred shapes and `labels` to it, and write it atomically.

    Raises:
        onnx.checker.ValidationError, onnx.shape_inference.InferenceError: not a valid model.
    """
    model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    onnx.helper.set_model_props(model, dict(labels))
    onnx.checker.check_model(model, full_check=True)
    with replacing(path) as partial:
        onnx.save(model, partial)


def run_module(plan: GraphPlan) -> dict[str, Tensor]:
    """Run the plan's module on its example inputs."""
    with torch.no_grad():
        made = plan.module.eval()(*plan.inputs.values())
    return dict(zip(plan.outputs, (made,) if isinstance(made, Tensor) else tuple(made), strict=True))


def check_numbers(path: Path, plan: GraphPlan, expected: Mapping[str, Tensor], tolerance: float = TOLERANCE) -> float:
    """Run a written graph in ONNX Runtime and return its largest error relative to the expected values' range.

    Raises:
        ExportError: the error exceeds `tolerance`.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    found = session.run(list(expected), {name: tensor.numpy() for name, tensor in plan.inputs.items()})
    worst = 0.0
    for name, array in zip(expected, found, strict=True):
        wanted = expected[name].numpy().astype(np.float64)
        error = float(np.abs(array - wanted).max()) / (float(np.ptp(wanted)) or 1.0)
        if not error <= tolerance:
            raise ExportError(f"{path.name}: {name} is {error:.1e} of its spread off what torch computes")
        worst = max(worst, error)
    return worst


def tensor_entries(tensors: Mapping[str, Tensor], batched: Collection[str]) -> dict[str, Shape | TypedTensor]:
    """Describe a graph's inputs or outputs for the manifest; those in `batched` have a free first dimension."""
    return {name: _described(tensor, name in batched) for name, tensor in tensors.items()}


def _described(tensor: Tensor, batched: bool) -> Shape | TypedTensor:
    shape = ("n", *tensor.shape[1:]) if batched else tuple(tensor.shape)
    return TypedTensor(shape, "uint8") if tensor.dtype == torch.uint8 else shape
