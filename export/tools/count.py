"""Count the multiplications of an ONNX graph, a machine-independent measure of its cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx

GIGA = 1e9
UNKNOWN = "unk__"  # prefix of names that shape inference gives to unknown sizes

Shapes = dict[str, tuple[int, ...] | None]


def multiply_accumulates(model: onnx.ModelProto) -> int:
    """Count multiply-accumulates of a graph's convolutions and matrix products, with free dimensions set to 1.

    Raises:
        ValueError: shape inference leaves one of their sizes open.
    """
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    shapes: Shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    for value in [*model.graph.input, *model.graph.value_info, *model.graph.output]:
        shape = value.type.tensor_type
        shapes[value.name] = _sizes(shape.shape.dim) if shape.HasField("shape") else None
    return sum(_of_node(node, shapes) for node in model.graph.node)


def _sizes(dims: Sequence[onnx.TensorShapeProto.Dimension]) -> tuple[int, ...] | None:
    if any(not dim.HasField("dim_value") and (dim.dim_param or UNKNOWN).startswith(UNKNOWN) for dim in dims):
        return None
    return tuple(dim.dim_value if dim.HasField("dim_value") else 1 for dim in dims)


def _of_node(node: onnx.NodeProto, shapes: Shapes) -> int:
    def sizes(name: str) -> tuple[int, ...]:
        found = shapes.get(name)
        if found is None:
            raise ValueError(f"{node.op_type} {node.name}: the shape of {name} is unknown")
        return found

    match node.op_type:
        case "Conv":  # every output sums over a kernel
            return math.prod(sizes(node.output[0])) * math.prod(sizes(node.input[1])[1:])
        case "ConvTranspose":  # every input is spread over a kernel
            return math.prod(sizes(node.input[0])) * math.prod(sizes(node.input[1])[1:])
        case "MatMul":
            return math.prod(sizes(node.output[0])) * sizes(node.input[0])[-1]
        case "Gemm":
            turned = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
            return math.prod(sizes(node.output[0])) * sizes(node.input[0])[0 if turned else 1]
    return 0
