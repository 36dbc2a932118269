"""The built family computes what the networks compute, on every backend that runs here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.manifest import Manifest
from engines.runtime import Engines
from streamer.frames import FloatArray

torch = pytest.importorskip("torch")

from export.networks.generator import Rendering  # noqa: E402
from tests.narrow import SIZE, narrow_networks  # noqa: E402

RNG = np.random.default_rng(3)
PORTRAIT = RNG.random((1, 3, SIZE, SIZE), np.float32)
SOURCE = RNG.uniform(-0.8, 0.8, (1, 15, 3)).astype(np.float32)
DRIVING = SOURCE + RNG.normal(0, 0.1, SOURCE.shape).astype(np.float32)


@pytest.fixture(scope="module")
def expected() -> Rendering:
    generator = narrow_networks().generator
    with torch.no_grad():
        made = generator(*map(torch.from_numpy, (PORTRAIT, DRIVING, SOURCE)))
    assert isinstance(made, Rendering)
    return made


def render(folder: Path, backend: str) -> dict[str, FloatArray]:
    with Engines.open(Manifest.load(folder), backend=backend, threads=1) as engines:
        appearance = engines["appearance"].infer({"portrait": PORTRAIT})
        constants = {name: appearance[name] for name in ("volume", "compressed")} | {"source_keypoints": SOURCE}
        return engines["render"].bind(constants).infer({"driving_keypoints": DRIVING})


def test_onnx_runtime_gives_the_networks_numbers(narrow_folder: Path, expected: Rendering) -> None:
    pytest.importorskip("onnxruntime")
    made = render(narrow_folder, "onnxruntime")
    np.testing.assert_allclose(made["deformation"], expected.deformation, atol=1e-5)
    np.testing.assert_allclose(made["occlusion"], expected.occlusion, atol=1e-4)
    np.testing.assert_allclose(made["image"], expected.prediction, atol=1e-3)
    np.testing.assert_array_equal(made["frame"], (made["image"] * 255).round().transpose(0, 2, 3, 1))
