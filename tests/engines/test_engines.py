"""Both backends run the same stages, check what they are given, and refuse graphs that are not what they should be."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines import backends
from engines.errors import EngineError
from engines.manifest import Manifest
from engines.manifest_file import sha256
from engines.runtime import BACKEND_VARIABLE, Engine, Engines, find_backend, open_stage
from streamer.core.frames import FloatArray
from tests.conftest import BACKENDS
from tests.families import tiny_family
from tests.families.tiny_family import POINTS, SIZE
from tests.modules import loaded_modules


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    pytest.importorskip(name)
    return name


@pytest.fixture
def expression(tiny_folder: Path, backend: str) -> Iterator[Engine]:
    engine = open_stage(Manifest.load(tiny_folder), "expression", backend=backend, threads=1)
    engine.activate()
    yield engine
    engine.deactivate()


def mel(n: int, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).normal(size=(n, 1, 80, 16)).astype(np.float32)


def test_batches_are_as_the_manifest_s_symbol_allows(expression: Engine) -> None:
    """One at a time or many at once: the same numbers."""
    many = expression.infer({"mel": mel(5)})["expression"]
    single = [expression.infer({"mel": mel(5)[i : i + 1]})["expression"][0] for i in range(5)]
    assert many.shape == (5, len(tiny_family.UNITS))
    np.testing.assert_allclose(many, np.stack(single), atol=1e-6)


def test_results_stay_the_caller_s(expression: Engine) -> None:
    """A later call must not change what an earlier one returned."""
    first = expression.infer({"mel": mel(2)})["expression"]
    before = first.copy()
    expression.infer({"mel": mel(2, seed=1)})
    np.testing.assert_array_equal(first, before)


def test_input_that_is_not_contiguous_or_not_writable_is_read_right(expression: Engine) -> None:
    expected = expression.infer({"mel": mel(2)})["expression"]
    turned = np.asfortranarray(mel(2))
    turned.setflags(write=False)
    np.testing.assert_allclose(expression.infer({"mel": turned})["expression"], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"mel": np.zeros((1, 1, 80, 15), np.float32)}, r"mel is float32\[1,1,80,15\], expected float32\[n,1,80,16\]"),
        ({"mel": np.zeros((1, 1, 80, 16), np.float64)}, r"mel is float64\[1,1,80,16\], expected float32"),
        ({"mel": np.zeros((80, 16), np.float32)}, r"mel is float32\[80,16\], expected"),
        ({}, r"was given nothing; expected mel float32\[n,1,80,16\]"),
        ({"mel": mel(1), "more": mel(1)}, "was given mel, more; expected mel"),
    ],
)
def test_input_of_another_shape_or_kind_is_refused(expression: Engine, inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(EngineError, match=message):
        expression.infer(inputs)


def test_an_engine_has_to_be_active(tiny_folder: Path, backend: str) -> None:
    engine = open_stage(Manifest.load(tiny_folder), "expression", backend=backend)
    with pytest.raises(EngineError, match="not active"):
        engine.infer({"mel": mel(1)})


def test_values_flow_between_graphs_and_constants_are_held(tiny_folder: Path, backend: str) -> None:
    """Two faces bound to one engine do not mix, and a bound call equals one with everything given."""
    engine = open_stage(Manifest.load(tiny_folder), "render", backend=backend, threads=1)
    engine.activate()
    maps = np.zeros((1, 7, SIZE, SIZE), np.float32)
    points = np.zeros((1, POINTS, 3), np.float32)
    frames = []
    for grey in (0.2, 0.7):
        constants: dict[str, FloatArray] = {"portrait": np.full((1, 3, SIZE, SIZE), grey, np.float32), "features": maps}
        constants["source_keypoints"] = points
        bound = engine.bind(constants, ["frame"])
        varying = {"driving_keypoints": points + np.float32(0.1), "driving_conditions": maps}
        results = bound.infer(varying)
        assert list(results) == ["frame"]
        np.testing.assert_allclose(results["frame"], engine.infer(constants | varying)["frame"], atol=1e-6)
        frames.append((bound, varying, results["frame"]))
        np.testing.assert_allclose(results["frame"], grey + 0.1, atol=0.01)
    for bound, varying, frame in frames:
        np.testing.assert_array_equal(bound.infer(varying)["frame"], frame)


def test_constants_have_to_fit(tiny_folder: Path, backend: str) -> None:
    engine = open_stage(Manifest.load(tiny_folder), "render", backend=backend, threads=1)
    engine.activate()
    with pytest.raises(EngineError, match=r"portrait is float32\[1,3,8,8\], expected"):
        engine.bind({"portrait": np.zeros((1, 3, 8, 8), np.float32)})
    with pytest.raises(EngineError, match="has no input hat"):
        engine.bind({"hat": np.zeros(1, np.float32)})
    with pytest.raises(EngineError, match="has no output smell"):
        engine.bind({}, ["smell"])


def test_the_backends_agree(tiny_folder: Path) -> None:
    results = []
    for name in BACKENDS:
        pytest.importorskip(name)
        with Engines.open(Manifest.load(tiny_folder), backend=name, threads=1) as engines:
            results.append(engines["expression"].infer({"mel": mel(7)})["expression"])
    np.testing.assert_allclose(results[0], results[1], atol=1e-5)


def _restate(folder: Path, **fields: Any) -> Manifest:
    """Change what the manifest says of the expression graph, the file's hash included."""

    def change(data: dict[str, Any]) -> None:
        data["stages"]["expression"]["graphs"][0].update(sha256=sha256(folder / "expression.onnx"), **fields)

    tiny_family.edit(folder, change)
    return Manifest.load(folder)


@pytest.mark.parametrize("content", [b"", b"not a graph at all", None])
def test_a_damaged_graph_is_one_clear_line(tmp_path: Path, backend: str, content: bytes | None) -> None:
    """Even when its hash was written for the damage: the file that cannot be loaded is named."""
    folder = tiny_family.build(tmp_path)
    path = folder / "expression.onnx"
    path.write_bytes(path.read_bytes()[:-200] if content is None else content)
    with pytest.raises(EngineError, match=r"expression\.onnx: .* cannot load it: .+") as caught:
        Engines.open(_restate(folder), backend=backend)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"inputs": {"sound": ["n", 1, 80, 16]}}, "its inputs are mel; the manifest says sound"),
        ({"inputs": {"mel": ["n", 1, 80, 20]}}, r"input mel is \[\?,1,80,16\], the manifest says float32\[n,1,80,20\]"),
        ({"outputs": {"face": ["n", 4]}}, "its outputs are expression; the manifest says face"),
    ],
)
def test_a_graph_that_is_not_what_the_manifest_says(
    tmp_path: Path, backend: str, fields: dict[str, Any], message: str
) -> None:
    folder = tiny_family.build(tmp_path)
    with pytest.raises(EngineError, match=message):
        Engines.open(_restate(folder, **fields), backend=backend)


def test_the_environment_chooses_the_backend(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BACKEND_VARIABLE, backend)
    assert find_backend().name == backend


def test_an_unknown_backend_lists_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BACKEND_VARIABLE, "abacus")
    with pytest.raises(EngineError, match="unknown engine abacus; expected one of openvino, onnxruntime"):
        find_backend()


@pytest.mark.parametrize(
    ("absent", "left"), [(("openvino",), "onnxruntime"), (("onnxruntime",), "openvino"), (BACKENDS, None)]
)
def test_backends_not_installed_are_skipped(
    absent: tuple[str, ...], left: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(BACKEND_VARIABLE, raising=False)
    for name, module in zip(BACKENDS, ("engines.backends.openvino_cpu", "engines.backends.onnx_runtime"), strict=True):
        if name in absent:
            monkeypatch.setitem(sys.modules, name, None)  # as if it were not there
            monkeypatch.delitem(sys.modules, module, raising=False)
            monkeypatch.delattr(backends, module.rpartition(".")[2], raising=False)
        else:
            pytest.importorskip(name)
    if left:
        assert find_backend().name == left
    else:
        with pytest.raises(EngineError, match="no engine: openvino or onnxruntime is not installed; run `pip install"):
            find_backend()


@pytest.mark.process
def test_openvino_reports_nothing_to_its_makers(tiny_folder: Path) -> None:
    """Its telemetry package, where it is installed, would send an event for every start."""
    pytest.importorskip("openvino")
    loaded = loaded_modules(
        "from engines.manifest import Manifest; from engines.runtime import open_stage; from pathlib import Path;"
        f"open_stage(Manifest.load(Path({str(tiny_folder)!r})), 'motion', backend='openvino').activate()"
    )
    assert "openvino" in loaded
    assert {name for name in loaded if name.startswith("openvino_telemetry")} <= {"openvino_telemetry"}
