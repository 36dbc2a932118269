"""The built family computes what the networks compute, on every backend that runs here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.manifest import Manifest
from engines.runtime import Engines
from streamer.core.frames import FloatArray

torch = pytest.importorskip("torch")

from export.parity.stages import TorchStages  # noqa: E402
from export.sadtalker.networks.generator import Rendering  # noqa: E402
from tests.families.narrow import SIZE, narrow_networks  # noqa: E402

BATCHES: dict[str, dict[str, tuple[int, ...]]] = {
    "expression": {"mel": (3, 1, 80, 16), "blink": (3, 1), "reference_expression": (1, 64)},
    "pose": {"mel": (32, 1, 80, 16), "noise": (1, 64), "style": (1, 46), "reference_pose": (1, 6)},
    "motion": {"coefficients": (3, 70, 27), "canonical_keypoints": (1, 15, 3), "view": (3, 3), "view_on": (3, 3)},
    "motion_full": {"coefficients": (3, 73, 27), "canonical_keypoints": (1, 15, 3), "view": (3, 3), "view_on": (3, 3)},
    "appearance": {"portrait": (1, 3, SIZE, SIZE)},
    "coefficients": {"face": (1, 3, 224, 224)},
}

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


@pytest.mark.slow
def test_onnx_runtime_gives_the_networks_numbers(narrow_folder: Path, expected: Rendering) -> None:
    pytest.importorskip("onnxruntime")
    made = render(narrow_folder, "onnxruntime")
    np.testing.assert_allclose(made["deformation"], expected.deformation, atol=1e-5)
    np.testing.assert_allclose(made["occlusion"], expected.occlusion, atol=1e-4)
    np.testing.assert_allclose(made["image"], expected.prediction, atol=1e-3)
    np.testing.assert_array_equal(made["frame"], (made["image"] * 255).round().transpose(0, 2, 3, 1))


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_every_other_stage_gives_the_networks_numbers(narrow_folder: Path, backend: str) -> None:
    """Batches of another size than the graphs were traced with; a view that is on replaces the head's turn."""
    pytest.importorskip(backend)
    networks = narrow_networks()
    reference = TorchStages(lambda name: getattr(networks, name))
    rng = np.random.default_rng(4)
    with Engines.open(Manifest.load(narrow_folder), backend=backend, threads=1, without={"render"}) as engines:
        for stage, shapes in BATCHES.items():
            inputs = {name: rng.random(shape, np.float32) for name, shape in shapes.items()}
            if "view" in inputs:
                inputs |= {"view": inputs["view"] * 30, "view_on": np.eye(3, dtype=np.float32)}
            expected = reference.run(stage, inputs)
            for name, found in engines[stage].infer(inputs).items():
                spread = float(np.ptp(expected[name]))
                np.testing.assert_allclose(found, expected[name], atol=1e-4 * spread, rtol=0, err_msg=f"{stage} {name}")
