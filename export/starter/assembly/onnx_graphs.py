"""Export the starter stages to ONNX and describe each graph for the manifest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from engines.files import replacing
from engines.manifest_file import GraphEntry, Precision, sha256
from export.starter.assembly.folding import folded
from export.starter.assembly.stages import (
    WINDOW_HEIGHT,
    WINDOW_WIDTH,
    Appearance,
    Decode,
    DrivingKeypoints,
    Flow,
    Layers,
    Look,
    Refine,
    Sample,
)
from export.starter.training.generator import CONDITIONS, SIZE, Generator
from export.tools.onnx_file import quietly, tensor_entries

OPSET = 17


@dataclass(frozen=True)
class GraphPlan:
    """A module to export: example inputs and output names; `batched` inputs and outputs have a free first dimension."""

    file: str
    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    precision: Precision = "fp32"
    batched: tuple[str, ...] = ()


def export_graph(plan: GraphPlan, folder: Path) -> GraphEntry:
    """Write one graph and return its manifest entry."""
    module = plan.module.eval()
    path = folder / plan.file
    with replacing(path) as partial, torch.no_grad(), quietly():
        made = module(*plan.inputs.values())
        torch.onnx.export(
            module,
            tuple(plan.inputs.values()),
            str(partial),
            input_names=list(plan.inputs),
            output_names=list(plan.outputs),
            dynamic_axes={name: {0: "n"} for name in plan.batched},
            opset_version=OPSET,
            dynamo=False,
        )
        onnx.checker.check_model(onnx.load(partial), full_check=True)
    results = (made,) if isinstance(made, Tensor) else tuple(made)
    outputs = dict(zip(plan.outputs, results, strict=True))
    return GraphEntry(
        plan.file,
        sha256(path),
        plan.precision,
        tensor_entries(plan.inputs, plan.batched),
        tensor_entries(outputs, plan.batched),
    )


def motion_plan(units: int, points: int) -> GraphPlan:
    """Return the plan of the motion graph, from coefficients to keypoints."""
    inputs = {
        "coefficients": torch.rand(2, units + 6, 3),
        "neutral": torch.rand(points, 3),
        "basis": torch.rand(units, points, 3),
        "rigidity": torch.rand(points),
        "pivot": torch.zeros(3),
        "distance": torch.tensor([10.0]),
    }
    return GraphPlan("motion.onnx", DrivingKeypoints(), inputs, ("keypoints",), batched=("coefficients", "keypoints"))


def picture_plans(model: Generator, points: int) -> dict[str, list[GraphPlan]]:
    """Return the plans of the appearance, render and paint stages' graphs, in order."""
    keypoints = torch.rand(1, points, 3)
    known = {
        "portrait": torch.rand(1, 3, SIZE, SIZE),
        "source_conditions": torch.rand(1, CONDITIONS, SIZE, SIZE),
        "source_keypoints": keypoints,
        "driving_keypoints": keypoints + 0.01,
        "driving_conditions": torch.rand(1, CONDITIONS, SIZE, SIZE),
        "window": torch.tensor([[40.0, 64.0]]),
        "conditions": torch.rand(1, CONDITIONS, WINDOW_HEIGHT, WINDOW_WIDTH),
    }
    model = folded(model)

    def plan(file: str, module: nn.Module, inputs: str, outputs: str, precision: Precision = "fp32") -> GraphPlan:
        """Plan a graph with example values known so far, and add its results to them for the next graph."""
        given = {name: known[name] for name in inputs.split()}
        names = tuple(outputs.split())
        with torch.no_grad():
            made = module.eval()(*given.values())
        known.update(zip(names, (made,) if isinstance(made, Tensor) else made, strict=True))
        return GraphPlan(file, module, given, names, precision)

    features = "features_half features_quarter features_eighth"
    sampled = "half quarter eighth near picture"
    return {
        "appearance": [
            plan("appearance.onnx", Appearance(model), "portrait source_conditions", f"{features} source small")
        ],
        "render": [
            plan(
                "render_look.onnx",
                Look(model),
                "small source_keypoints driving_keypoints driving_conditions",
                "seen prior",
            ),
            plan("render_refine.onnx", Refine(model), "seen", "context refined", "bf16"),
            plan("render_flow.onnx", Flow(), "prior refined", "flow"),
        ],
        "paint": [
            plan("paint_sample.onnx", Sample(), f"source {features} window flow context refined", sampled),
            plan("paint_decode.onnx", Decode(model), f"{sampled} conditions", "painted", "bf16"),
            plan("paint_layer.onnx", Layers(), "painted", "layer"),
        ],
    }
