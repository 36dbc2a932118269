"""A family folder is what its manifest says, or it is refused with one line that says what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engines.errors import ManifestError
from engines.manifest import Manifest, TensorSpec
from tests.families import tiny_family

Change = Callable[[dict[str, Any]], Any]


def test_a_family_is_read_as_it_was_written(tiny_folder: Path) -> None:
    manifest = Manifest.load(tiny_folder)
    assert manifest.coefficients.expression == tiny_family.UNITS
    assert len(manifest.coefficients) == len(tiny_family.UNITS) + 6
    assert manifest.lookahead_ms == 185
    motion = manifest.stage("motion")
    assert motion.context == (1, 1)
    assert motion.graphs[0].inputs["coefficients"] == TensorSpec(("n", 10, 3))
    assert manifest.stage("pose").process == "idle-and-speech"
    assert manifest.stage("render").conditions == tiny_folder / "topology.npz"


def test_a_stage_needs_what_its_graphs_do_not_make(tiny_folder: Path) -> None:
    render = Manifest.load(tiny_folder).stage("render")
    assert set(render.inputs) == {
        "portrait", "features", "source_keypoints", "driving_keypoints", "driving_conditions"
    }  # fmt: skip
    assert set(render.outputs) == {"shift", "frame"}


@pytest.mark.parametrize("file", ["expression.onnx", "topology.npz", "avatars/dot/portrait.png"])
def test_an_altered_file_is_named(tmp_path: Path, file: str) -> None:
    folder = tiny_family.build(tmp_path)
    data = bytearray((folder / file).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / file).write_bytes(data)
    with pytest.raises(ManifestError, match=rf"{Path(file).name}: damaged or replaced.*install"):
        Manifest.load(folder)


@pytest.mark.parametrize("file", ["render.onnx", "paint.onnx", "topology.npz"])
def test_a_missing_file_is_named(tmp_path: Path, file: str) -> None:
    folder = tiny_family.build(tmp_path)
    (folder / file).unlink(missing_ok=True)
    if file == "render.onnx":
        tiny_family.edit(folder, lambda data: data["stages"]["render"]["graphs"][0].update(file=file))
    with pytest.raises(ManifestError, match=rf"{file}: missing"):
        Manifest.load(folder)


def _graph(data: dict[str, Any]) -> dict[str, Any]:
    graph: dict[str, Any] = data["stages"]["expression"]["graphs"][0]
    return graph


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.update(format=2), "format 2, this version reads format 1"),
        (lambda data: data.update(fps="25"), "fps is '25', expected a whole number"),
        (lambda data: data.update(fps=True), "fps is True, expected a whole number"),
        (lambda data: data.update(size=0), "size is 0, expected a whole number from 1"),
        (
            lambda data: data["stages"]["render"].update(layer_scale=0),
            "layer_scale is 0, expected a whole number from 1",
        ),
        (lambda data: data.pop("licence"), "licence is missing"),
        (lambda data: data.update(stages=[]), r"stages: expected an object, found \[\]"),
        (lambda data: data.update(default_avatar="nobody"), "default_avatar is nobody, not one of dot"),
        (lambda data: data["coefficients"].update(pose=["yaw", "yaw"]), "coefficients: pose names something twice"),
        (lambda data: _graph(data).update(precision="fp8"), "precision is 'fp8', expected one of fp32, bf16"),
        (lambda data: _graph(data).update(file="../evil.onnx"), "expected a file inside the folder"),
        (lambda data: _graph(data).update(file="/etc/passwd"), "expected a file inside the folder"),
        (lambda data: _graph(data).update(inputs={"mel": [0, 1]}), r"graphs\[0\].inputs: mel is .*, expected a shape"),
        (lambda data: _graph(data).pop("sha256"), r"stages.expression.graphs\[0\]: sha256 is missing"),
        (lambda data: data["stages"].update(pose=[]), r"stages.pose: expected an object, found \[\]"),
        (lambda data: data["stages"]["render"].update(graphs={}), r"stages.render: graphs is {}, expected a list"),
        (lambda data: data.update(avatars="dot"), "avatars is 'dot', expected a list of strings"),
        (
            lambda data: _graph(data).update(inputs={"mel": {"shape": [1], "dtype": "float64"}}),
            "dtype is 'float64', expected one of float32, uint8",
        ),
    ],
)
def test_a_wrong_field_is_named_with_its_value(tmp_path: Path, change: Change, message: str) -> None:
    folder = tiny_family.build(tmp_path)
    tiny_family.edit(folder, change)
    with pytest.raises(ManifestError, match=message):
        Manifest.load(folder)


@pytest.mark.parametrize(("content", "message"), [(b"{", "not JSON"), (b"\xff\xfe", "not JSON"), (b"[]", "an object")])
def test_a_file_that_is_not_a_manifest(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(ManifestError, match=message):
        Manifest.load(tmp_path)


def test_a_folder_without_a_manifest(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"no manifest\.json there"):
        Manifest.load(tmp_path / "nowhere")


def test_an_unknown_stage_lists_those_there_are(tiny_folder: Path) -> None:
    with pytest.raises(ManifestError, match="no stage dance; it has expression, pose, motion, appearance, render"):
        Manifest.load(tiny_folder).stage("dance")
