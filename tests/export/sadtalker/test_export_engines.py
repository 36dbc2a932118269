"""The whole command, from stand-in checkpoints to a family that serves, and everything that makes it refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from engines.errors import AvatarError
from engines.manifest import Manifest
from engines.runtime import Engines

pytest.importorskip("torch")
pytest.importorskip("openvino")

from export.sadtalker import build as command
from export.sadtalker.acceptance import Acceptance, without_bfloat16
from export.sadtalker.bench import bench
from export.sadtalker.build import Options, export_engines
from export.sadtalker.lip_motion import LipMotionError
from export.stand_in import write_stand_ins
from export.tools.folder import replacing
from tests.families.narrow import SIZE, narrow_networks

pytestmark = pytest.mark.slow

WIDTH = 1 / 16


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    write_stand_ins(folder, width=WIDTH, sizes=(256,), report=lambda _: None)
    return folder


def test_from_checkpoints_to_a_family_that_runs(checkpoints: Path, tmp_path: Path) -> None:
    said: list[str] = []
    options = Options(checkpoints, tmp_path, width=WIDTH, threads=1, frames=2)
    folder = export_engines(options, said.append)
    assert folder == tmp_path / "sadtalker-256"
    assert [path.name for path in tmp_path.iterdir()] == ["sadtalker-256"]
    manifest = Manifest.load(folder)
    assert (manifest.family, manifest.size, manifest.fps) == ("sadtalker-256", 256, 25)
    assert manifest.stage("motion").context == (13, 13)
    assert any("lip motion" in line for line in said)
    labels = {p.key: p.value for p in onnx.load(folder / "render_decode_fp16.onnx").metadata_props}
    assert labels["family"] == "sadtalker-256"
    assert labels["stage"] == "render"
    assert len(labels["checkpoint_sha256"]) == 64
    assert "torch" in labels["tools"]
    graphs = {graph.path.stem: graph for graph in manifest.stage("render").graphs}
    assert graphs["render_decode"].for_backend("tensorrt").precision == "fp16"
    assert graphs["render_warp"].for_backend("tensorrt").precision == "fp32"
    small = {"motion_full", "appearance", "render", "coefficients"}
    with Engines.open(manifest, backend="openvino", threads=1, without=small) as engines:
        mel = np.zeros((3, 1, 80, 16), np.float32)
        heard = {"mel": mel, "blink": mel[:, 0, 0, :1], "reference_expression": np.zeros((1, 64), np.float32)}
        assert engines["expression"].infer(heard)["expression"].shape == (3, 64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: {"checkpoints": folder / "nowhere"}, "no such folder.*fetch-checkpoints"),
        (lambda folder: {"size": 512}, r"SadTalker_V0\.0\.2_512\.safetensors not there"),
        (lambda folder: {"target": "tensorrt"}, "no NVIDIA GPU found"),
        (lambda folder: {"width": 1.0}, "not the .* of SadTalker; misshapen"),
    ],
)
def test_what_cannot_be_built_leaves_nothing_behind(
    checkpoints: Path, tmp_path: Path, change: Callable[[Path], dict[str, Any]], message: str
) -> None:
    options: dict[str, Any] = {"checkpoints": checkpoints, "out": tmp_path / "built", "width": WIDTH}
    options |= change(checkpoints)
    if options.get("target") == "tensorrt":
        from engines.backends.gpu import find_gpu

        if find_gpu():
            pytest.skip("this machine has a GPU")
    with pytest.raises(AvatarError, match=message) as caught:
        export_engines(Options(**options), lambda _: None)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.onnx"))


def test_a_full_disk_is_seen_before_anything_is_written(
    checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "SPACE", 1e9)  # so that no disk is large enough
    with pytest.raises(AvatarError, match=r"MB needed, \d+ MB free"):
        export_engines(Options(checkpoints, tmp_path, width=WIDTH), lambda _: None)
    assert not list(tmp_path.iterdir())


def test_an_older_family_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    folder = tmp_path / "family"
    folder.mkdir()
    (folder / "old").touch()

    def interrupted() -> None:
        with replacing(folder) as work:
            (work / "new").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [path.name for path in tmp_path.rglob("*")] == ["family", "old"]
    with replacing(folder) as work:
        (work / "new").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["family", "new"]


def _freeze(folder: Path) -> None:
    """Let the render graphs draw every frame as the portrait: what a port gone wrong looks like."""
    for name in ("render_look", "render_warp", "render_warp_openvino"):
        model = onnx.load(folder / f"{name}.onnx")
        for node in model.graph.node:
            for i, value in enumerate(node.input):
                if value == "driving_keypoints":
                    node.input[i] = "source_keypoints"
        onnx.save(model, folder / f"{name}.onnx")


def test_frozen_lips_are_refused(narrow_folder: Path, tmp_path: Path) -> None:
    """The build's picture is fine, sharp, and still."""
    acceptance = Acceptance(Manifest.load(narrow_folder), threads=1, frames=3)
    frozen = {path.name: path.read_bytes() for path in narrow_folder.iterdir()}
    for name, content in frozen.items():
        (tmp_path / name).write_bytes(content)
    _freeze(tmp_path)

    def frozen_graph(graph: Any) -> Any:
        from dataclasses import replace

        return acceptance.reference(replace(graph, path=tmp_path / graph.path.name, alternatives={}))

    good = acceptance.try_build(acceptance.reference).motion
    assert good.accepted
    assert good.ratio == pytest.approx(1)
    bad = acceptance.try_build(frozen_graph).motion
    assert bad.ratio < 0.01
    with pytest.raises(LipMotionError, match=r"the GPU's build is refused: lip motion 0\.0.*PRECISION=fp32"):
        bad.require("the GPU's build")


def test_bfloat16_that_does_not_pass_is_taken_back(narrow_folder: Path, tmp_path: Path) -> None:
    text = (narrow_folder / "manifest.json").read_text()
    (tmp_path / "manifest.json").write_text(text)
    assert '"bf16"' in text
    without_bfloat16(tmp_path)
    changed = json.loads((tmp_path / "manifest.json").read_text())
    assert '"bf16"' not in json.dumps(changed)
    assert '"fp16"' in json.dumps(changed)


def test_the_bench_compares_every_engine_of_the_cpu_with_torch() -> None:
    said: list[str] = []
    rows = bench(narrow_networks(), SIZE, frames=2, threads=1, say=said.append)
    assert [row.engine.split(",")[0] for row in rows][:3] == ["torch", "ONNX Runtime", "OpenVINO"]
    assert all(row.ms > 0 and row.accepted for row in rows)
    assert rows[1].psnr > 60
    assert len(said) == len(rows) + 2
