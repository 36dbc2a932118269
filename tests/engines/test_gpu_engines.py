"""What a machine without a GPU can prove of the engines that need one: refusals, engine files, and names of the API."""

from __future__ import annotations

import importlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.backends.gpu import Gpu, find_gpu
from engines.backends.tensorrt_plan import PlanKey, find_plan, has_plans, side_file, write_plan
from engines.errors import EngineError, ManifestError
from engines.manifest import Manifest, TensorSpec
from engines.runtime import Engines, backend_for, find_backend
from tests.families import tiny_family

GPU = Gpu("NVIDIA L4", "8.9", "12.8")
no_gpu = pytest.mark.skipif(find_gpu() is not None, reason="this machine has a GPU")


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "render_decode.onnx"
    path.write_bytes(b"a graph")
    return path


def build(graph: Path, **changes: str) -> Path:
    key = replace(PlanKey.of(graph, "tensorrt", "11.4.0.106", GPU), **changes)
    return write_plan(key, graph, b"an engine", {"seconds": 3})


def test_an_engine_is_found_again(graph: Path) -> None:
    assert not has_plans(graph)
    path = build(graph)
    assert find_plan(graph, "tensorrt", "11.4.0.106", GPU) == path
    assert path.read_bytes() == b"an engine"
    assert has_plans(graph)
    assert not list(graph.parent.rglob("*.partial"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": "11.2.1.3"}, r"built by TensorRT 11\.2\.1\.3, this machine has 11\.4\.0\.106"),
        ({"gpu": "Tesla T4", "capability": "7.5"}, r"built for Tesla T4 .*7\.5.*, this machine has NVIDIA L4 \(8\.9\)"),
        ({"builder": "tensorrt_rtx"}, "built by tensorrt_rtx, this machine runs tensorrt"),
        ({"onnx_sha256": "0" * 64}, "from another version of this file"),
    ],
)
def test_an_engine_for_another_machine_is_refused(graph: Path, changes: dict[str, str], message: str) -> None:
    build(graph, **changes)
    with pytest.raises(EngineError, match=rf"render_decode\.onnx.*{message}.*make export-engines") as caught:
        find_plan(graph, "tensorrt", "11.4.0.106", GPU)
    assert "\n" not in str(caught.value)


def test_engines_of_several_machines_share_a_folder(graph: Path) -> None:
    paths = {build(graph), build(graph, gpu="Tesla T4"), build(graph, version="11.2.1.3")}
    assert len(paths) == 3
    assert find_plan(graph, "tensorrt", "11.4.0.106", GPU) in paths


def test_no_engine_and_a_damaged_one(graph: Path) -> None:
    with pytest.raises(EngineError, match="no TensorRT engine for it; build it here"):
        find_plan(graph, "tensorrt", "11.4.0.106", GPU)
    path = build(graph)
    path.write_bytes(b"an engin")
    with pytest.raises(EngineError, match=r"\.engine: damaged"):
        find_plan(graph, "tensorrt", "11.4.0.106", GPU)
    side_file(path).write_text("{")
    with pytest.raises(EngineError, match=r"\.json: not JSON"):
        find_plan(graph, "tensorrt", "11.4.0.106", GPU)


@no_gpu
@pytest.mark.parametrize("backend", ["tensorrt", "onnxruntime-gpu"])
def test_without_a_gpu_its_engines_are_refused_in_one_line(tiny_folder: Path, backend: str) -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(EngineError, match=r"no NVIDIA GPU found.*AVATAR_ENGINE=openvino") as caught:
        Engines.open(Manifest.load(tiny_folder), backend=backend)
    assert "\n" not in str(caught.value)


@pytest.mark.process
@no_gpu
def test_tensorrt_is_not_imported_without_a_driver() -> None:
    """Its libraries take the process down where no driver answers."""
    code = (
        "import sys\n"
        "from engines.errors import EngineError\n"
        "from engines.backends import tensorrt_gpu\n"
        "try: tensorrt_gpu.library()\n"
        "except EngineError: print('refused')\n"
        "assert not {'tensorrt', 'cuda.bindings.runtime'} & sys.modules.keys()\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout.strip()) == (0, "refused"), result.stderr


def test_the_functions_called_exist() -> None:
    """Spelling, at least: the runtime cannot be run here, but its libraries can be asked for the names it uses."""
    cuda = pytest.importorskip("cuda.bindings.runtime")
    functions = """cudaMalloc cudaFree cudaMemcpyAsync cudaStreamCreate cudaStreamSynchronize cudaStreamBeginCapture
        cudaStreamEndCapture cudaGraphInstantiate cudaGraphLaunch cudaGraphDestroy cudaGraphExecDestroy
        cudaGetErrorString"""
    for name in functions.split():
        assert hasattr(cuda, name), name
    assert hasattr(cuda.cudaMemcpyKind, "cudaMemcpyHostToDevice")
    assert hasattr(cuda.cudaStreamCaptureMode, "cudaStreamCaptureModeThreadLocal")
    trt = pytest.importorskip("tensorrt_rtx")
    for owner, names in (
        (trt.Runtime, "deserialize_cuda_engine"),
        (trt.ICudaEngine, "num_io_tensors get_tensor_name get_tensor_mode get_tensor_shape create_execution_context"),
        (trt.IExecutionContext, "set_input_shape set_tensor_address get_tensor_shape execute_async_v3"),
    ):
        assert all(hasattr(owner, name) for name in names.split())


@no_gpu
def test_a_failing_cuda_call_says_why() -> None:
    pytest.importorskip("cuda.bindings.runtime")
    tensorrt = importlib.import_module("engines.backends.tensorrt_gpu")
    with pytest.raises(EngineError, match=r"cudaMalloc failed: .+"):
        tensorrt.call("cudaMalloc", 64)


@pytest.fixture
def with_alternative(tmp_path: Path) -> Path:
    """The tiny family, whose paint graph for ONNX Runtime paints everything brighter, so that its use can be seen."""
    folder = tiny_family.build(tmp_path / "family")
    import onnx
    from onnx import numpy_helper

    from engines.manifest_file import sha256

    model = onnx.load(folder / "paint.onnx")
    factor = next(t for t in model.graph.initializer if t.dims == [])
    factor.CopyFrom(numpy_helper.from_array(np.array(7, np.float32), factor.name))
    onnx.save(model, folder / "paint_other.onnx")
    entry = {"file": "paint_other.onnx", "sha256": sha256(folder / "paint_other.onnx"), "precision": "fp32"}

    def change(data: dict[str, Any]) -> None:
        for graph in data["stages"]["render"]["graphs"]:
            if graph["file"] == "paint.onnx":
                graph["alternatives"] = {"onnxruntime": entry, "tensorrt": entry}

    tiny_family.edit(folder, change)
    return folder


def _sizes(spec: TensorSpec) -> list[int]:
    return [dim for dim in spec.shape if isinstance(dim, int)]


def test_a_backend_loads_its_own_file(with_alternative: Path) -> None:
    graph = Manifest.load(with_alternative).stage("render").graphs[1]
    assert graph.path_for("openvino").name == "paint.onnx"
    assert graph.path_for("tensorrt").name == "paint_other.onnx"
    assert (graph.precision, graph.for_backend("onnxruntime").precision) == ("bf16", "fp32")
    frames = []
    for backend in ("openvino", "onnxruntime"):
        pytest.importorskip(backend)
        with Engines.open(Manifest.load(with_alternative), backend=backend, threads=1) as engines:
            ones = {name: np.ones(_sizes(spec), np.float32) for name, spec in engines["render"].spec.inputs.items()}
            frames.append(engines["render"].infer(ones | {"features": ones["features"] * 0.5})["frame"].mean())
    assert frames[1] - frames[0] == pytest.approx((7 - 0.1) * 0.5, abs=0.05)


def test_an_alternative_is_verified_as_any_file(with_alternative: Path) -> None:
    (with_alternative / "paint_other.onnx").write_bytes(b"another")
    with pytest.raises(ManifestError, match=r"paint_other\.onnx: damaged or replaced"):
        Manifest.load(with_alternative)


def test_an_alternative_for_an_unknown_backend(with_alternative: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        graph = data["stages"]["render"]["graphs"][1]
        graph["alternatives"]["abacus"] = graph["alternatives"].pop("tensorrt")

    tiny_family.edit(with_alternative, change)
    with pytest.raises(ManifestError, match="no backend abacus; expected some of tensorrt, onnxruntime-gpu"):
        Manifest.load(with_alternative)


@no_gpu
def test_a_stage_made_for_the_gpu_still_runs_on_the_cpu(with_alternative: Path) -> None:
    """Without a GPU nobody has to say so."""
    manifest = Manifest.load(with_alternative)
    assert backend_for(manifest.stage("render")).name == find_backend().name


def test_a_family_may_come_without_avatars(tmp_path: Path) -> None:
    manifest = Manifest.load(tiny_family.build(tmp_path, with_avatar=False))
    assert (manifest.avatars, manifest.default_avatar) == ((), "")
    tiny_family.edit(tmp_path, lambda data: data.update(default_avatar="dot"))
    with pytest.raises(ManifestError, match="default_avatar is dot"):
        Manifest.load(tmp_path)
