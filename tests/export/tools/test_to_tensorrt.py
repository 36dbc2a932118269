"""Every graph of the official family parses, is typed as it should be, and builds, with the builder that needs no GPU.

tensorrt_rtx comes from PyPI; where it is not installed these tests are skipped (`make dev` installs it on Linux).
"""

from __future__ import annotations

import gc
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.backends.tensorrt_gpu import no_collection
from engines.errors import EngineError
from engines.manifest import Manifest

pytest.importorskip("tensorrt_rtx", reason="no TensorRT-RTX here: nothing proves that engines build")

from export.tools.to_tensorrt import Build, build_engine, build_engines

BUILDER = "tensorrt_rtx"


def _grid_sample(folder: Path, mode: str, typed: int = TensorProto.FLOAT) -> Path:
    """A graph that samples a volume and convolves."""
    volume = helper.make_tensor_value_info("volume", typed, [1, 2, 3, 4, 5])
    grid = helper.make_tensor_value_info("grid", TensorProto.FLOAT, [1, 3, 4, 5, 3])
    out = helper.make_tensor_value_info("out", typed, [1, 2, 3, 4, 5])
    node = helper.make_node("GridSample", ["volume", "grid"], ["out"], mode=mode, name="sampler")
    model = helper.make_model(
        helper.make_graph([node], "g", [volume, grid], [out]), opset_imports=[helper.make_opsetid("", 20)], ir_version=9
    )
    path = folder / f"{mode}.onnx"
    onnx.save(model, path)
    return path


def test_sampling_that_interpolates_passes(tmp_path: Path) -> None:
    assert build_engine(_grid_sample(tmp_path, "linear"), BUILDER).samplers == 1


def test_sampling_that_takes_the_nearest_is_refused(tmp_path: Path) -> None:
    """As some parsers make of "linear" without a word."""
    path = _grid_sample(tmp_path, "nearest")
    with pytest.raises(EngineError, match=r"nearest\.onnx: tensorrt_rtx .* parsed .* as NEAREST, not LINEAR"):
        build_engine(path, BUILDER)
    assert not list(tmp_path.rglob("*.engine"))


def test_mixed_types_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"linear\.onnx: cannot be parsed: .+") as caught:
        build_engine(_grid_sample(tmp_path, "linear", TensorProto.FLOAT16), BUILDER)
    assert "\n" not in str(caught.value)


def test_a_convolution_of_another_type_than_its_file_s_is_refused(tmp_path: Path) -> None:
    """A "half" graph with a float32 convolution in it: what an incomplete conversion looks like."""
    weights = np.ones((2, 2, 3, 3))
    nodes = [
        helper.make_node("Conv", ["x", "single"], ["y"], name="first"),
        helper.make_node("Cast", ["y"], ["y16"], to=TensorProto.FLOAT16),
        helper.make_node("Conv", ["y16", "half"], ["z"], name="second"),
    ]
    constants = [
        numpy_helper.from_array(weights.astype(np.float32), "single"),
        numpy_helper.from_array(weights.astype(np.float16), "half"),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 8, 8])
    z = helper.make_tensor_value_info("z", TensorProto.FLOAT16, [1, 2, 4, 4])
    graph = helper.make_graph(nodes, "g", [x], [z], constants)
    path = tmp_path / "mixed.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), path)
    with pytest.raises(EngineError, match=r"first and 0 more are .*FLOAT.*, expected .*HALF"):
        build_engine(path, BUILDER)


@pytest.mark.parametrize("content", [b"", b"not a graph"])
def test_an_invalid_graph_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(EngineError, match=r"broken\.onnx: .+") as caught:
        build_engine(path, BUILDER)
    assert "\n" not in str(caught.value)


def test_every_stage_builds(narrow_folder: Path, tmp_path: Path) -> None:
    """Float32 geometry, half networks; engines and their side files lie beside the graphs, and nothing else does."""
    folder = tmp_path / "family"
    shutil.copytree(narrow_folder, folder)
    builds: list[Build] = []
    build_engines(Manifest.load(folder), BUILDER, done=builds.append)
    made = {build.path.name.rpartition("-")[0]: build for build in builds}
    assert set(made) == {
        "expression", "pose", "motion", "motion_full", "appearance_keypoints", "appearance_volume", "coefficients",
        "render_look", "render_estimate_fp16", "render_warp", "render_decode_fp16", "render_frame",
    }  # fmt: skip
    assert set(made["render_decode_fp16"].layers) == {"half"}
    assert set(made["render_look"].layers) == {"float"}
    assert sum(build.samplers for build in builds) == 1
    for name in ("render_estimate", "render_decode"):  # the same in float32
        assert set(build_engine(folder / f"{name}.onnx", BUILDER).layers) == {"float"}
    files = {path.suffix for path in (folder / "tensorrt").iterdir()}
    assert files == {".engine", ".json"}


def test_no_garbage_is_collected_in_the_middle_of_a_build() -> None:
    """Freeing an object of the library's would wait for ever for a lock that it holds while it calls our logger."""
    freed: list[str] = []

    class Garbage:
        def __init__(self, name: str) -> None:
            self.name, self.itself = name, self

        def __del__(self) -> None:
            freed.append(self.name)

    Garbage("before")
    with no_collection():
        assert freed == ["before"]
        Garbage("inside")
        assert len([[] for _ in range(100_000)]) == 100_000  # enough for a collection, were there any
        assert freed == ["before"]
    assert gc.isenabled()
    gc.collect()
    assert freed == ["before", "inside"]
