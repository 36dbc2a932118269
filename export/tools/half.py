"""Convert a float32 graph to float16, with float32 inputs and outputs.

TensorRT takes types from the file (strong typing) and has no switch for half precision any more, so the file declares
it: every weight, constant and value between the graph's inputs and outputs is float16.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableSequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engines.errors import AvatarError

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
LARGEST = float(np.finfo(np.float16).max)


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of `model` in float16, with Casts after its inputs and before its outputs.

    Raises:
        AvatarError: a weight is out of float16's range.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    # Resize requires its scales in float32 for any input type.
    kept = {name for node in graph.node if node.op_type == "Resize" for name in node.input[1:]}
    for tensor in graph.initializer:
        if tensor.name not in kept:
            _convert(tensor)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR and not kept.intersection(node.output):
                _convert(attribute.t)
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == FLOAT:
                attribute.i = HALF
    del graph.value_info[:]  # inferred again when the model is saved
    enter, leave = _border(graph.input, "half"), _border(graph.output, "float32")
    for node in graph.node:
        _rename(node.input, enter)
        _rename(node.output, leave)
        _rename(node.input, leave)  # an output may be read inside, too
    casts_in = [helper.make_node("Cast", [name], [inner], to=HALF, name=inner) for name, inner in enter.items()]
    casts_out = [helper.make_node("Cast", [inner], [name], to=FLOAT, name=inner) for name, inner in leave.items()]
    nodes = [*casts_in, *graph.node, *casts_out]
    del graph.node[:]
    graph.node.extend(nodes)
    return result


def _convert(tensor: onnx.TensorProto) -> None:
    if tensor.data_type != FLOAT:
        return
    values = numpy_helper.to_array(tensor)
    if values.size and float(np.abs(values).max()) > LARGEST:
        raise AvatarError(
            f"weight {tensor.name} reaches {np.abs(values).max():.3g}, beyond float16 ({LARGEST:.0f}); "
            "export with PRECISION=fp32"
        )
    tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), tensor.name))


def _border(values: Iterable[onnx.ValueInfoProto], suffix: str) -> dict[str, str]:
    """Name the float16 counterparts of the graph's float32 inputs or outputs."""
    return {value.name: f"{value.name}_{suffix}" for value in values if value.type.tensor_type.elem_type == FLOAT}


def _rename(names: MutableSequence[str], to: dict[str, str]) -> None:
    for i, name in enumerate(names):
        names[i] = to.get(name, name)
