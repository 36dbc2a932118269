"""A miniature of the other kind of family: a face model's coefficients, blinks as an input, poses made in blocks.

Its networks are random, but every input matters to them, so that one that is left out or out of place is noticed.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from engines.manifest_file import Coefficients, Context, GraphEntry, StageEntry
from tests.families.tiny_family import Array, Graph, Shapes, matte, write_manifest

EXPRESSION, POSE, REST = 6, 6, 3
STYLES, NOISE, BLOCK = 4, 5, 32
POINTS, SIZE = 4, 16
PAST = FUTURE = 13
WIDTH = PAST + 1 + FUTURE
FAMILY, NAME = "tiny-vae", "ada"
POSE_NAMES = ("pitch", "yaw", "roll", "tx", "ty", "tz")


def build(folder: Path, mode: str = "crop") -> Path:
    """Write the family into `folder` and return it; its avatar was cut out in `mode`."""
    folder.mkdir(parents=True, exist_ok=True)
    context = Context(PAST, FUTURE)
    stages = {
        "expression": StageEntry(145, (_expression(folder),)),
        "pose": StageEntry(0, (_pose(folder),), process="pose-vae"),
        "motion": StageEntry(520, (_motion(folder, "motion", 0),), context),
        "motion_full": StageEntry(520, (_motion(folder, "motion_full", REST),), context),
        "appearance": StageEntry(0, (_appearance(folder),)),
        "render": StageEntry(0, (_render(folder),)),
    }
    write_avatar(folder / "avatars" / NAME, mode)
    coefficients = Coefficients(tuple(f"exp_{i}" for i in range(EXPRESSION)), POSE_NAMES)
    files = sorted((folder / "avatars" / NAME).iterdir())
    write_manifest(folder, FAMILY, SIZE, coefficients, stages, files, NAME)
    return folder


def write_avatar(folder: Path, mode: str = "crop") -> None:
    """An avatar bundle of this family."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {"format": 1, "title": folder.name.title(), "family": FAMILY, "mode": mode}
    about |= {"description": "Grey shades.", "licence": "CC0-1.0"}
    (folder / "avatar.json").write_text(json.dumps(about))
    cv2.imwrite(str(folder / "portrait.png"), _random(1, SIZE, SIZE, 3, scale=255.0).clip(0).astype(np.uint8))
    cv2.imwrite(str(folder / "matte.png"), matte(SIZE))
    np.savez(folder / "arrays.npz", allow_pickle=False, **arrays())


def arrays() -> dict[str, Array]:
    """What the bundle's arrays.npz holds."""
    return {"reference": _random(2, 1, EXPRESSION + POSE + REST), "source_keypoints": _random(3, 1, POINTS, 3)}


def _random(seed: int, *shape: int, scale: float = 1.0) -> Array:
    return np.asarray(scale * np.random.default_rng(seed).standard_normal(shape), np.float32)


def _expression(folder: Path) -> GraphEntry:
    inputs: Shapes = {"mel": ["n", 1, 80, 16], "blink": ["n", 1], "reference_expression": [1, EXPRESSION]}
    graph = Graph(inputs, {"expression": ["n", EXPRESSION]})
    heard = graph.add("MatMul", graph.add("Flatten", "mel", axis=1), _weights(graph, 4, 80 * 16, EXPRESSION, 0.01))
    lids = graph.add("MatMul", "blink", _weights(graph, 5, 1, EXPRESSION))
    moved = graph.add("Tanh", graph.add("Add", heard, lids))
    graph.add("Add", moved, "reference_expression", to="expression")
    return graph.save(folder / "expression.onnx")


def _pose(folder: Path) -> GraphEntry:
    inputs: Shapes = {"mel": [BLOCK, 1, 80, 16], "noise": [1, NOISE], "style": [1, STYLES], "reference_pose": [1, POSE]}
    graph = Graph(inputs, {"residual": [BLOCK, POSE]})
    heard = graph.add("MatMul", graph.add("Flatten", "mel", axis=1), _weights(graph, 6, 80 * 16, POSE, 0.01))
    mixed = graph.add("MatMul", _weights(graph, 7, BLOCK, BLOCK, 0.3), heard)
    for seed, (name, size) in enumerate((("noise", NOISE), ("style", STYLES), ("reference_pose", POSE)), 8):
        mixed = graph.add("Add", mixed, graph.add("MatMul", name, _weights(graph, seed, size, POSE, 0.3)))
    graph.add("Tanh", graph.add("Add", mixed, _weights(graph, 11, BLOCK, POSE, 0.3)), to="residual")
    return graph.save(folder / "pose.onnx")


def _motion(folder: Path, name: str, rest: int) -> GraphEntry:
    rows = EXPRESSION + POSE + rest
    inputs: Shapes = {"coefficients": ["n", rows, WIDTH], "view": ["n", 3], "view_on": ["n", 3]}
    graph = Graph(inputs | {"canonical_keypoints": [1, POINTS, 3]}, {"keypoints": ["n", POINTS, 3]})
    mean = graph.add("Squeeze", graph.add("MatMul", "coefficients", _weights(graph, 12, WIDTH, 1, 0.2)), graph.index(2))
    moved = graph.add("MatMul", mean, _weights(graph, 13, rows, POINTS * 3, 0.3))
    moved = graph.add("Reshape", moved, graph.index(-1, POINTS, 3))
    turned = graph.add("Unsqueeze", graph.add("Mul", "view", "view_on"), graph.index(1))
    graph.add("Add", graph.add("Add", moved, turned), "canonical_keypoints", to="keypoints")
    return graph.save(folder / f"{name}.onnx")


def _appearance(folder: Path) -> GraphEntry:
    outputs: Shapes = {"canonical_keypoints": [1, POINTS, 3], "features": [1, 3, SIZE, SIZE]}
    graph = Graph({"portrait": [1, 3, SIZE, SIZE]}, outputs)
    flat = graph.add("Reshape", "portrait", graph.index(1, -1))
    points = graph.add("MatMul", flat, _weights(graph, 14, 3 * SIZE * SIZE, POINTS * 3, 0.02))
    graph.add("Reshape", points, graph.index(1, POINTS, 3), to="canonical_keypoints")
    graph.add("Sqrt", "portrait", to="features")
    return graph.save(folder / "appearance.onnx")


def _render(folder: Path) -> GraphEntry:
    points: list[int | str] = [1, POINTS, 3]
    inputs: Shapes = {"features": [1, 3, SIZE, SIZE], "source_keypoints": points, "driving_keypoints": list(points)}
    graph = Graph(inputs, {"frame": [1, SIZE, SIZE, 3]})
    moved = graph.add("Sub", "driving_keypoints", "source_keypoints")
    amount = graph.add("Sigmoid", graph.add("ReduceSum", moved, graph.index(1, 2), keepdims=1))
    shaded = graph.add("Mul", "features", graph.add("Unsqueeze", amount, graph.index(3)))
    graph.add("Transpose", shaded, to="frame", perm=[0, 2, 3, 1])
    return graph.save(folder / "render.onnx")


def _weights(graph: Graph, seed: int, rows: int, columns: int, scale: float = 1.0) -> str:
    return graph.constant(_random(seed, rows, columns, scale=scale))
