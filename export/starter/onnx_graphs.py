"""Exports the starter stages to ONNX and describes each graph for the manifest."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from export.starter.generator import CONDITIONS, SIZE, Generator
from export.starter.stages import WINDOWS, Appearance, Compose, Decode, DrivingKeypoints, Geometry

OPSET = 17


@dataclass(frozen=True)
class GraphPlan:
    """A module to export: example inputs and output names; `batched` inputs and outputs have a free first dimension."""

    file: str
    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    precision: str = "fp32"
    batched: tuple[str, ...] = ()


def export_graph(plan: GraphPlan, folder: Path) -> dict[str, Any]:
    """Write one graph, atomically, and return its manifest entry."""
    module = plan.module.eval()
    path = folder / plan.file
    temporary = path.with_suffix(".partial")
    with torch.no_grad():
        made = module(*plan.inputs.values())
        torch.onnx.export(
            module,
            tuple(plan.inputs.values()),
            str(temporary),
            input_names=list(plan.inputs),
            output_names=list(plan.outputs),
            dynamic_axes={name: {0: "n"} for name in plan.batched},
            opset_version=OPSET,
            dynamo=False,
        )
    onnx.checker.check_model(onnx.load(temporary), full_check=True)
    os.replace(temporary, path)
    results = (made,) if isinstance(made, Tensor) else tuple(made)
    return {
        "file": plan.file,
        "sha256": file_hash(path),
        "precision": plan.precision,
        "inputs": {name: _describe(name, tensor, plan.batched) for name, tensor in plan.inputs.items()},
        "outputs": {
            name: _describe(name, tensor, plan.batched) for name, tensor in zip(plan.outputs, results, strict=True)
        },
    }


def _describe(name: str, tensor: Tensor, batched: tuple[str, ...]) -> Any:
    shape: list[int | str] = list(tensor.shape)
    if name in batched:
        shape[0] = "n"
    return {"shape": shape, "dtype": "uint8"} if tensor.dtype == torch.uint8 else shape


def file_hash(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def motion_plan(units: int, points: int) -> GraphPlan:
    """Coefficients to keypoints."""
    inputs = {
        "coefficients": torch.rand(2, units + 6, 3),
        "neutral": torch.rand(points, 3),
        "basis": torch.rand(units, points, 3),
        "rigidity": torch.rand(points),
        "pivot": torch.zeros(3),
        "distance": torch.tensor([10.0]),
    }
    return GraphPlan("motion.onnx", DrivingKeypoints(), inputs, ("keypoints",), batched=("coefficients", "keypoints"))


def picture_plans(model: Generator, points: int) -> tuple[GraphPlan, list[GraphPlan]]:
    """The appearance graph, and the render stage's three."""
    portrait, conditions = torch.rand(1, 3, SIZE, SIZE), torch.rand(1, CONDITIONS, SIZE, SIZE)
    names = ("features_half", "features_quarter", "features_eighth", "small")
    appearance = Appearance(model).eval()
    appearance_plan = GraphPlan(
        "appearance.onnx", appearance, {"portrait": portrait, "source_conditions": conditions}, names
    )
    with torch.no_grad():
        features = dict(zip(names, appearance(portrait, conditions), strict=True))
    keypoints = torch.rand(1, points, 3)
    windows = torch.tensor([[40.0, 80.0], [144.0, 80.0]])
    geometry_inputs = {
        "portrait": portrait,
        "source_conditions": conditions,
        "small": features["small"],
        "features_half": features["features_half"],
        "features_quarter": features["features_quarter"],
        "features_eighth": features["features_eighth"],
        "source_keypoints": keypoints,
        "driving_keypoints": keypoints + 0.01,
        "driving_conditions": conditions,
        "windows": windows,
    }
    flowing = ("warped", "half", "quarter", "eighth", "context", "pictures", "conditions")
    geometry = GraphPlan("render_geometry.onnx", Geometry(model), geometry_inputs, flowing)
    with torch.no_grad():
        sampled = dict(zip(flowing, geometry.module(*geometry_inputs.values()), strict=True))
    warped = sampled.pop("warped")
    decode = GraphPlan("render_decode.onnx", Decode(model), sampled, ("painted",), precision="bf16")
    painted = torch.rand(WINDOWS, 4, *sampled["conditions"].shape[2:])
    inputs = {"warped": warped, "painted": painted, "windows": windows}
    return appearance_plan, [geometry, decode, GraphPlan("render_compose.onnx", Compose(), inputs, ("frame",))]
