"""What was rewritten for speed computes the same as the networks it was rewritten from."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

torch = pytest.importorskip("torch")

from engines.errors import AvatarError  # noqa: E402
from export.sadtalker.graphs.geometry import Look, Warp, sample_atlas  # noqa: E402
from export.sadtalker.graphs.rewritten import Decode, Estimate, Forms  # noqa: E402
from export.sadtalker.graphs.upsampled import Form, UpsampledConv  # noqa: E402
from export.sadtalker.networks.dense_motion import DenseMotion, deformation  # noqa: E402
from export.sadtalker.networks.layers import sample_volume  # noqa: E402
from export.tools.count import multiply_accumulates  # noqa: E402
from export.tools.half import to_half  # noqa: E402
from export.tools.onnx_file import GraphPlan  # noqa: E402
from export.tools.rounding import RoundedGraph  # noqa: E402
from tests.families.narrow import narrow_networks  # noqa: E402

FORMS: tuple[Form, ...] = ("plain", "phases", "transposed")


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(5)
    torch.set_num_threads(1)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["phases", "transposed"])
@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("deep", [False, True])
def test_forms_of_a_convolution_agree(form: Form, scale: int, deep: bool) -> None:
    """At borders, too: sizes differ in height and width, so that nothing can be mixed up."""
    weight = torch.randn(5, 3, *[3] * (2 + deep))
    x, bias = torch.randn(1, 3, *[4] * deep, 6, 7), torch.randn(5)
    plain = UpsampledConv(weight, bias, scale, "plain")(x)
    assert plain.shape[-2:] == (6 * scale, 7 * scale)
    torch.testing.assert_close(UpsampledConv(weight, bias, scale, form)(x), plain, atol=2e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_the_rewritten_networks_agree_with_the_originals(form: Form) -> None:
    generator = narrow_networks().generator
    network = generator.dense_motion_network
    evidence, occlusion = torch.rand(1, 80, 16, 32, 32), torch.rand(1, 1, 32, 32)
    warped = torch.randn(1, 16 * network.compress.in_channels, 32, 32)
    forms = Forms(form, form, form)
    with torch.no_grad():
        expected = network.estimate(evidence)
        logits, seen = Estimate(network, forms).eval()(evidence)
        torch.testing.assert_close(logits, expected.logits, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(seen, expected.occlusion, atol=1e-5, rtol=1e-4)
        picture = generator.decoder(generator.fourth(generator.third(warped)) * occlusion)
        torch.testing.assert_close(Decode(generator, forms).eval()(warped, occlusion), picture, atol=1e-4, rtol=1e-4)


def test_moving_by_matrix_products_is_sampling() -> None:
    """Keypoints far outside and volumes that are no cubes included."""
    compressed, source = torch.rand(1, 4, 16, 24, 32), torch.rand(1, 15, 3) * 2.4 - 1.2
    driving = source + torch.randn(1, 15, 3) * 0.4
    with torch.no_grad():
        expected = DenseMotion(8, 1 / 16).eval().candidates(compressed, driving, source)
        torch.testing.assert_close(Look()(compressed, source, driving), expected.evidence, atol=2e-5, rtol=1e-4)


def test_the_deformation_is_the_motions_mixed_by_masks() -> None:
    volume, source = torch.randn(1, 3, 16, 24, 32), torch.rand(1, 15, 3) - 0.5
    driving, logits = source + torch.randn(1, 15, 3) * 0.1, torch.randn(1, 16, 16, 24, 32) * 5
    with torch.no_grad():
        motions = DenseMotion(3, 1 / 16).candidates(torch.zeros(1, 4, 16, 24, 32), driving, source).motions
        expected = deformation(torch.softmax(logits, 1), motions)
        warped, found = Warp()(volume, logits, source, driving)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(warped, sample_volume(volume, expected).flatten(1, 2), atol=1e-4, rtol=1e-3)


def test_the_atlas_samples_a_volume_inside_outside_and_at_its_borders() -> None:
    volume, grid = torch.randn(1, 3, 16, 24, 32), torch.rand(1, 16, 24, 32, 3) * 3 - 1.5
    grid[0, 0, 0, :8] = torch.tensor([-1.0, 1.0, -1.0])
    torch.testing.assert_close(sample_atlas(volume, grid), sample_volume(volume, grid), atol=1e-3, rtol=0)


def _convolution(scale: float = 1.0) -> onnx.ModelProto:
    weight = numpy_helper.from_array(np.full((4, 2, 3, 3), scale, np.float32), "weight")
    shapes = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")
    nodes = [
        helper.make_node("Resize", ["x", "", "scales"], ["wide"], mode="nearest"),
        helper.make_node("Conv", ["wide", "weight"], ["y"], pads=[1, 1, 1, 1]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 5, 6])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 10, 12])
    graph = helper.make_graph(nodes, "g", [x], [y], [weight, shapes])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def test_half_is_inside_and_float_at_the_border() -> None:
    half = to_half(_convolution(0.3))
    onnx.checker.check_model(half, full_check=True)
    types = {tensor.name: tensor.data_type for tensor in half.graph.initializer}
    assert types == {"weight": TensorProto.FLOAT16, "scales": TensorProto.FLOAT}
    assert {value.type.tensor_type.elem_type for value in [*half.graph.input, *half.graph.output]} == {
        TensorProto.FLOAT
    }
    ort = pytest.importorskip("onnxruntime")
    x = np.random.default_rng(0).random((1, 2, 5, 6), np.float32)
    found, expected = (
        ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
        for model in (half, _convolution(0.3))
    )
    np.testing.assert_allclose(found, expected, rtol=2e-3)
    assert np.abs(found - expected).max() > 0


def test_a_weight_beyond_half_is_named() -> None:
    with pytest.raises(AvatarError, match=r"weight weight reaches 1e\+05, beyond float16 .*PRECISION=fp32"):
        to_half(_convolution(1e5))


def test_operations_are_counted() -> None:
    assert multiply_accumulates(_convolution()) == 10 * 12 * 4 * 2 * 9


@pytest.mark.slow
def test_rounding_is_what_halves_do() -> None:
    """Weights, the input and every result are rounded; what is too large becomes infinite."""
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1, bias=False), torch.nn.Conv2d(1, 1, 1, bias=False))
    for conv, weight in zip(module, (1 / 3, 5.0), strict=True):
        torch.nn.init.constant_(conv.weight, weight)
    plan = GraphPlan("graph", module, {"x": torch.full((1, 1, 1, 2), 0.1)}, ("y",), half=True)
    request = RoundedGraph(plan).request()
    request.set("x", np.array([[[[0.1, 6.5e4]]]], np.float32))
    small, large = np.asarray(request.run()["y"]).ravel()
    half = np.float16
    assert small == half(half(np.float32(half(0.1)) * np.float32(half(1 / 3))) * half(5.0))
    assert small != module(torch.full((1, 1, 1, 1), 0.1)).item()
    assert large == np.inf
