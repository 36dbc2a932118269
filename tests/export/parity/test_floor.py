"""Rounding may turn a mask over at its floor; nothing else may, and pictures are compared by their maximum."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'avatar-streamer[export]'")
for module in ("scipy", "safetensors"):
    pytest.importorskip(module, reason=f"{module} is not installed; pip install 'avatar-streamer[export]'")

from export.parity import floor  # noqa: E402
from export.parity.__main__ import Weights  # noqa: E402
from export.parity.compare import Array  # noqa: E402
from export.parity.floor import ROUNDING, settle  # noqa: E402
from export.parity.stages import TorchStages  # noqa: E402
from export.sadtalker.networks.dense_motion import MASK_FLOOR, deformation  # noqa: E402
from export.sadtalker.networks.generator import Generator  # noqa: E402
from tests.families import narrow_golden  # noqa: E402

pytestmark = pytest.mark.slow

Tensors = dict[str, Array]


@pytest.fixture(scope="module", params=[1])
def drawn(request: pytest.FixtureRequest) -> tuple[Generator, Tensors, Tensors]:
    """A narrow generator, what its render stage is given for an identity motion, and what an exact engine makes."""
    weights = Weights(request.param, narrow_golden.WIDTH)
    network, image = weights.network("generator"), narrow_golden.inputs()["keypoints"]["image"]
    assert isinstance(network, Generator)
    points = np.random.default_rng(request.param).uniform(-0.6, 0.6, (1, 15, 3)).astype(np.float32)
    given = TorchStages(weights.network).run("appearance", {"portrait": image / np.float32(255)})
    given |= {"source_keypoints": points, "driving_keypoints": points}
    return network, given, _made(network, given)


def _made(network: Generator, given: Tensors, turn: float | None = None) -> Tensors:
    """turn: the mask that is nearest to this value in size comes out on the other side of the floor."""
    with torch.inference_mode():
        motion, points = network.dense_motion_network, torch.from_numpy(given["driving_keypoints"])
        candidates = motion.candidates(torch.from_numpy(given["compressed"]), points, points)
        logits, occlusion = motion.estimate(candidates.evidence)
        masks = torch.softmax(logits, 1)
        if turn is not None:
            place = int((masks - turn).abs().argmin())
            mask = float(masks.flatten()[place])
            wanted = MASK_FLOOR * (1 + 1e-3) if mask < MASK_FLOOR else MASK_FLOOR * (1 - 1e-3)
            logits = logits.clone()
            logits.view(-1)[place] += float(np.log(wanted / (1 - wanted) * (1 - mask) / mask))
        moved = deformation(torch.softmax(logits, 1), candidates.motions)
        image = network.decoder(network.warp(torch.from_numpy(given["volume"]), moved, occlusion))
        made = {"logits": logits, "occlusion": occlusion, "deformation": moved, "image": image}
        return {name: tensor.numpy() for name, tensor in made.items()}


def test_an_engine_that_decides_alike_is_left_as_it_is(drawn: tuple[Generator, Tensors, Tensors]) -> None:
    network, given, made = drawn
    settled = settle(network, given, made)
    assert (settled.turned, settled.distance) == (0, 0.0)
    assert settled.image is made["image"]


def test_a_mask_that_rounding_turned_over_is_put_back(
    drawn: tuple[Generator, Tensors, Tensors], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(floor, "ROUNDING", 2 * MASK_FLOOR)  # narrow networks have no mask nearer to it
    network, given, exact = drawn
    turned = _made(network, given, MASK_FLOOR)
    assert np.abs(turned["deformation"] - exact["deformation"]).max() > 1e-5
    settled = settle(network, given, turned)
    assert settled.turned >= 1
    assert settled.by_rounding
    assert np.abs(settled.image - exact["image"]).max() < 1e-4 < np.abs(turned["image"] - exact["image"]).max()
    assert np.abs(settled.deformation - exact["deformation"]).max() < 1e-6


def test_a_mask_that_is_far_from_the_floor_was_not_turned_over_by_rounding(
    drawn: tuple[Generator, Tensors, Tensors],
) -> None:
    network, given, _ = drawn
    settled = settle(network, given, _made(network, given, 20 * MASK_FLOOR))
    assert settled.distance > ROUNDING
    assert not settled.by_rounding


def test_another_error_is_not_taken_for_rounding(drawn: tuple[Generator, Tensors, Tensors]) -> None:
    """A deformation that is off without a mask that was turned over."""
    network, given, exact = drawn
    off = exact | {"deformation": exact["deformation"] + np.float32(1e-3)}
    assert not settle(network, given, off).by_rounding
