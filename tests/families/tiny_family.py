"""A whole family in miniature, built with the onnx helpers in a moment: real graphs, a real avatar, other names.

Its expression answers to the level of the sound, its motion moves points along a basis and averages over the context,
its picture shifts with the points. That is enough to tell right from wrong everywhere but in beauty.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engines import manifest_file
from engines.manifest_file import (
    Coefficients,
    Context,
    FileEntry,
    GraphEntry,
    ManifestFile,
    Shape,
    StageEntry,
    TypedTensor,
    sha256,
)

UNITS = ("blinkLeft", "blinkRight", "open", "wide")
POSE = ("pitch", "yaw", "roll", "tx", "ty", "tz")
POINTS, SIZE, CHANNELS = 10, 32, 7
PAST, FUTURE = 1, 1
NAME = "dot"

Array = NDArray[np.float32]
Shapes = dict[str, list[int | str]]


def build(folder: Path, with_avatar: bool = True) -> Path:
    """Write the family, which may come without an avatar, into `folder` and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    stages = {
        "expression": StageEntry(145, (_expression(folder),)),
        "pose": StageEntry(0, process="idle-and-speech"),
        "motion": StageEntry(40, (_motion(folder),), Context(PAST, FUTURE)),
        "appearance": StageEntry(0, (_appearance(folder),)),
        "render": StageEntry(0, (_shift(folder), _paint(folder)), conditions="topology.npz"),
    }
    np.savez(folder / "topology.npz", allow_pickle=False, **topology())
    write_avatar(folder / "avatars" / NAME)
    files = [folder / "topology.npz", *sorted((folder / "avatars" / NAME).iterdir())]
    write_manifest(folder, "tiny", SIZE, Coefficients(UNITS, POSE), stages, files, NAME if with_avatar else "")
    return folder


def write_manifest(
    folder: Path,
    family: str,
    size: int,
    coefficients: Coefficients,
    stages: dict[str, StageEntry],
    files: Iterable[Path],
    avatar: str,
) -> None:
    manifest = ManifestFile(
        family=family,
        version="1",
        licence="CC0-1.0",
        built_by="tests",
        fps=25,
        sample_rate=16_000,
        size=size,
        coefficients=coefficients,
        stages=stages,
        files=tuple(FileEntry.of(folder, path) for path in files),
        default_avatar=avatar,
        avatars=(avatar,) if avatar else (),
    )
    manifest_file.write(folder, manifest)


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a built manifest in place, into one that no program of ours would write."""
    path = folder / "manifest.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def write_avatar(folder: Path, family: str = "tiny", size: int = SIZE) -> None:
    """An avatar bundle with a two-coloured portrait."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {"format": 1, "name": folder.name, "title": folder.name.title(), "family": family}
    about |= {"description": "Two colours.", "licence": "CC0-1.0"}
    (folder / "avatar.json").write_text(json.dumps(about))
    portrait = np.full((size, size, 3), (40, 80, 160), np.uint8)
    portrait[: size // 2] = (200, 120, 60)
    cv2.imwrite(str(folder / "portrait.png"), portrait)
    cv2.imwrite(str(folder / "matte.png"), matte(size))
    np.savez(folder / "arrays.npz", allow_pickle=False, **face())


def matte(size: int = SIZE) -> NDArray[np.uint8]:
    """The avatar's: a column in the middle, with an edge of half a pixel's share."""
    grey = np.zeros((size, size), np.uint8)
    grey[:, size // 4 : -size // 4] = 255
    grey[:, size // 4] = 128
    return grey


def face() -> dict[str, Array]:
    """The constants of a face of POINTS points on a circle; "open" moves the lower half down."""
    angle = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    neutral = np.stack([0.5 * np.cos(angle), 0.5 * np.sin(angle), 0 * angle], axis=1).astype(np.float32)
    basis = np.zeros((len(UNITS), POINTS, 3), np.float32)
    basis[UNITS.index("open"), neutral[:, 1] > 0.1, 1] = 0.3
    basis[UNITS.index("wide"), :, 0] = neutral[:, 0] * 0.2
    basis[: UNITS.index("open"), :2, 1] = 0.1
    return {
        "neutral": neutral,
        "basis": basis,
        "rigidity": np.ones(POINTS, np.float32),
        "pivot": np.zeros(3, np.float32),
        "distance": np.array([5.0], np.float32),
        "source_keypoints": neutral,
    }


def topology() -> dict[str, NDArray[np.generic]]:
    """Outlines among the points, in the form that the condition maps are drawn from."""
    return {
        "outer_lips": np.arange(POINTS),
        "inner_lips": np.arange(1, POINTS),
        "eyes": np.array([[0, 1, 2], [3, 4, 5]]),
        "eye_corners": np.array([[0, 2], [3, 5]]),
        "irises": np.array([1, 4]),
        "teeth": np.array([[[1, 2, 3]], [[6, 7, 8]]]),
        "tooth_shades": np.ones((2, 1), np.float32),
        "tongue": np.array([5, 6, 7]),
    }


def _expression(folder: Path) -> GraphEntry:
    """Levels of four bands of the spectrum, weighted over the window, through a sigmoid."""
    rng = np.random.default_rng(7)
    weights = np.zeros((80, 16, len(UNITS)), np.float32)
    for unit in range(len(UNITS)):
        weights[unit * 20 : unit * 20 + 20, :, unit] = rng.uniform(0.0, 2.0, 16) / (20 * 16)
    graph = Graph({"mel": ["n", 1, 80, 16]}, {"expression": ["n", len(UNITS)]})
    flat = graph.add("Flatten", "mel", axis=1)
    graph.add("Sigmoid", graph.add("MatMul", flat, graph.constant(weights.reshape(-1, len(UNITS)))), to="expression")
    return graph.save(folder / "expression.onnx")


def _motion(folder: Path) -> GraphEntry:
    """Points = neutral + basis x expression + translation, the coefficients averaged over the context."""
    width, units = PAST + 1 + FUTURE, len(UNITS)
    constants = {name: list(value.shape) for name, value in face().items() if name != "source_keypoints"}
    graph = Graph({"coefficients": ["n", units + 6, width], **constants}, {"keypoints": ["n", POINTS, 3]})
    weights = np.array([[0.2], [0.5], [0.3]], np.float32)
    mean = graph.add("Squeeze", graph.add("MatMul", "coefficients", graph.constant(weights)), graph.index(2))
    expression = graph.add("Slice", mean, graph.index(0), graph.index(units), graph.index(1))
    shift = graph.add("Slice", mean, graph.index(units + 3), graph.index(units + 6), graph.index(1))
    basis = graph.add("Reshape", "basis", graph.index(units, POINTS * 3))
    moved = graph.add("Reshape", graph.add("MatMul", expression, basis), graph.index(-1, POINTS, 3))
    rigid = graph.add(
        "Mul", graph.add("Unsqueeze", shift, graph.index(1)), graph.add("Unsqueeze", "rigidity", graph.index(1))
    )
    placed = graph.add("Add", graph.add("Add", moved, "neutral"), rigid)
    graph.add("Add", placed, graph.add("Mul", "pivot", "distance"), to="keypoints")
    return graph.save(folder / "motion.onnx")


def _appearance(folder: Path) -> GraphEntry:
    inputs: Shapes = {"portrait": [1, 3, SIZE, SIZE], "source_conditions": [1, CHANNELS, SIZE, SIZE]}
    graph = Graph(inputs, {"features": [1, CHANNELS, SIZE, SIZE]})
    grey = graph.add("ReduceMean", "portrait", graph.index(1), keepdims=1)
    graph.add("Mul", "source_conditions", grey, to="features")
    return graph.save(folder / "appearance.onnx")


def _shift(folder: Path) -> GraphEntry:
    points: list[int | str] = [1, POINTS, 3]
    graph = Graph({"source_keypoints": list(points), "driving_keypoints": list(points)}, {"shift": [1, 1, 1]})
    difference = graph.add("Abs", graph.add("Sub", "driving_keypoints", "source_keypoints"))
    graph.add("ReduceMean", difference, graph.index(1, 2), keepdims=1, to="shift")
    return graph.save(folder / "shift.onnx")


def _paint(folder: Path) -> GraphEntry:
    maps: list[int | str] = [1, CHANNELS, SIZE, SIZE]
    inputs: Shapes = {"portrait": [1, 3, SIZE, SIZE], "features": list(maps), "shift": [1, 1, 1]}
    graph = Graph(inputs | {"driving_conditions": list(maps)}, {"frame": [1, SIZE, SIZE, 3]})
    change = graph.add("ReduceMean", graph.add("Sub", "driving_conditions", "features"), graph.index(1), keepdims=1)
    moved = graph.add("Add", graph.add("Mul", change, graph.constant(np.array(0.1, np.float32))), "shift")
    graph.add("Transpose", graph.add("Add", "portrait", moved), to="frame", perm=[0, 2, 3, 1])
    return graph.save(folder / "paint.onnx", precision="bf16")


class Graph:
    """A few lines over onnx.helper: nodes are added by operator, values named as they come."""

    def __init__(self, inputs: Shapes, outputs: Shapes) -> None:
        self.inputs, self.outputs = inputs, outputs
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def add(self, operator: str, *inputs: str, to: str | None = None, **attributes: Any) -> str:
        output = to or f"value_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def constant(self, value: NDArray[Any]) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(value, name))
        return name

    def index(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def save(self, path: Path, precision: Literal["fp32", "bf16"] = "fp32") -> GraphEntry:
        """Write the graph and return its entry in a manifest."""
        graph = helper.make_graph(self._nodes, path.stem, _values(self.inputs), _values(self.outputs), self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, path)
        return GraphEntry(path.name, sha256(path), precision, _tensors(self.inputs), _tensors(self.outputs))


def _tensors(shapes: Shapes) -> dict[str, Shape | TypedTensor]:
    return {name: tuple(shape) for name, shape in shapes.items()}


def _values(shapes: Shapes) -> list[onnx.ValueInfoProto]:
    return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
