"""What training and serving rest on in the generator. Needs torch, which serving does not: skipped without it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'avatar-streamer[export]'")
pytest.importorskip("scipy", reason="scipy is not installed; pip install 'avatar-streamer[export]'")

from export.starter.assembly.folding import folded  # noqa: E402
from export.starter.assembly.stages import (  # noqa: E402
    FEATHER,
    WINDOW_HEIGHT,
    WINDOW_WIDTH,
    Appearance,
    Decode,
    DrivingKeypoints,
    Flow,
    Layers,
    Look,
    Refine,
    Sample,
    cut,
    head_rotation,
)
from export.starter.training import generator as g  # noqa: E402

POINTS = 754


@pytest.fixture(scope="module")
def model() -> g.Generator:
    """Random weights and statistics, as good as any for what must hold for all."""
    torch.manual_seed(0)
    made = g.Generator()
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    torch.nn.init.normal_(made.motion_out.weight, std=0.02)
    return made.eval()


def face(rng: np.random.Generator) -> Any:
    return torch.from_numpy(rng.uniform(-0.5, 0.5, (1, POINTS, 2)).astype(np.float32))


def test_points_that_stay_make_no_flow() -> None:
    here = face(np.random.default_rng(0))
    flow, _ = g.MotionPrior()(here, here)
    assert flow.abs().max() == 0


def test_the_prior_carries_a_common_shift_and_forgets_it_far_away() -> None:
    here = face(np.random.default_rng(0))
    flow, trust = g.MotionPrior()(here + torch.tensor([0.1, -0.05]), here)
    middle = flow[0, :, 28:36, 28:36]
    torch.testing.assert_close(middle[0], torch.full((8, 8), 0.1), atol=0.01, rtol=0)
    torch.testing.assert_close(middle[1], torch.full((8, 8), -0.05), atol=0.01, rtol=0)
    assert flow[0, :, 0, 0].abs().max() < 1e-3
    assert trust[0, 0, 0, 0] < 0.1 < trust[0, 0, 32, 32]


def test_a_window_is_painted_as_it_is_in_the_whole_picture(model: g.Generator) -> None:
    rng = np.random.default_rng(1)
    photo = torch.rand(1, 3, g.FINE * g.SIZE, g.FINE * g.SIZE)
    before, after = (torch.rand(1, g.CONDITIONS, g.SIZE, g.SIZE) for _ in range(2))
    source = face(rng)
    driving = source + 0.02
    corner, extent, inner = (64, 80), (96, 112), 40  # nearer to the border, convolutions see padding
    with torch.no_grad():
        inputs = (model, photo, before, source, driving, after)
        whole, _ = g.render_windows(*inputs, [(0, 0)], (g.SIZE, g.SIZE))
        part, _ = g.render_windows(*inputs, [corner], extent)
    (top, left), (height, width), inner = (g.FINE * x for x in corner), (g.FINE * x for x in extent), g.FINE * inner
    expected = whole.picture[..., top + inner : top + height - inner, left + inner : left + width - inner]
    found = part.picture[..., inner : height - inner, inner : width - inner]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("corner", "margin"), [((8, 16), 0), ((40, 24), 1), ((0, 34), 1)])
def test_cutting_a_window_takes_what_lies_there(corner: tuple[int, int], margin: int) -> None:
    image = torch.arange(64 * 64, dtype=torch.float32).reshape(1, 1, 64, 64)
    part = cut(image, torch.tensor(corner), 20, 30, margin)
    wide = torch.nn.functional.pad(image, (2, 2, 2, 2), mode="replicate")
    top, left = (start + 2 - margin for start in corner)
    torch.testing.assert_close(part, wide[:, :, top : top + 20 + 2 * margin, left : left + 30 + 2 * margin])


@pytest.mark.parametrize("corner", [(40, 64), (0, 136), (176, 0)])
def test_the_graphs_paint_what_was_trained(model: g.Generator, corner: tuple[int, int]) -> None:
    """The folded networks, on a window that is sampled by itself."""
    rng = np.random.default_rng(1)
    photo = torch.rand(1, 3, g.FINE * g.SIZE, g.FINE * g.SIZE)
    before, after = (torch.rand(1, g.CONDITIONS, g.SIZE, g.SIZE) for _ in range(2))
    source = face(rng)
    extent = (WINDOW_HEIGHT, WINDOW_WIDTH)
    small = folded(model)
    with torch.no_grad():
        trained, motion = g.render_windows(model, photo, before, source, source + 0.02, after, [corner], extent)
        half, quarter, eighth, both, pooled = Appearance(small)(torch.nn.functional.avg_pool2d(photo, g.FINE), before)
        seen, prior = Look(small)(pooled, source, source + 0.02, after)
        context, refined = Refine(small)(seen)
        flow = Flow()(prior, refined)
        sampled = Sample()(both, half, quarter, eighth, torch.tensor([corner]).float(), flow, context, refined)
        layer = Layers()(Decode(small)(*sampled, g.crop(after, [corner], extent)))
    torch.testing.assert_close(flow, motion.flow, atol=1e-5, rtol=0)
    alpha = trained.alpha[0, 0]
    inside = np.s_[g.FINE * FEATHER : -g.FINE * FEATHER, g.FINE * FEATHER : -g.FINE * FEATHER]
    torch.testing.assert_close(layer[0, ..., 3][inside], alpha[inside], atol=1e-4, rtol=0)
    over = trained.warped[0].permute(1, 2, 0) * (1 - layer[0, ..., 3:]) + layer[0, ..., :3]
    torch.testing.assert_close(over[inside], trained.picture[0].permute(1, 2, 0)[inside], atol=1e-4, rtol=0)


def test_a_layer_fades_in_from_its_window_s_edge() -> None:
    height, width = g.FINE * WINDOW_HEIGHT, g.FINE * WINDOW_WIDTH
    layer = Layers()(torch.full((1, 4, height, width), 20.0)).numpy()
    assert layer.shape == (1, height, width, 4)
    np.testing.assert_allclose(layer[:, height // 2, width // 2], 1, atol=1e-3)
    np.testing.assert_allclose(layer[..., :3], np.repeat(layer[..., 3:], 3, 3), atol=1e-6)  # white, times alpha
    edge = layer[0, height // 2, : 10 * g.FINE, 3]
    assert (np.diff(edge) >= 0).all()
    assert 0 < edge[0] < 0.25


def test_the_head_turns_as_documented() -> None:
    nose = torch.tensor([0.0, 0.0, 1.0])  # towards the viewer; y is down
    pitched, yawed, rolled = head_rotation(torch.tensor([[10.0, 0, 0], [0, 10.0, 0], [0, 0, 10.0]]))
    assert (pitched @ nose)[1] > 0.1  # nods down
    assert (yawed @ nose)[0] > 0.1  # to the viewer's right
    assert (rolled @ torch.tensor([0.0, -1.0, 0.0]))[0] > 0.1  # the crown leans to the right: clockwise


def test_keypoints_are_linear_in_units_and_rigid_in_pose() -> None:
    rng = np.random.default_rng(2)
    neutral, basis = (torch.from_numpy(rng.normal(size=s).astype(np.float32) * 0.2) for s in ((6, 3), (2, 6, 3)))
    pivot, far = torch.tensor([0.0, 0.3, -0.2]), torch.tensor([1e6])
    motion = DrivingKeypoints()

    def run(units: tuple[float, float], pose: tuple[float, ...], rigidity: float) -> Any:
        held = torch.tensor([*units, *pose])[None, :, None].expand(1, 8, 3)
        return motion(held, neutral, basis, torch.full((6,), rigidity), pivot, far)[0]

    still = (0.0,) * 6
    torch.testing.assert_close(run((0.5, 1.0), still, 1), neutral + 0.5 * basis[0] + basis[1], atol=1e-4, rtol=0)
    turned = run((0, 0), (5, -8, 3, 0, 0, 0), 1)
    torch.testing.assert_close(torch.cdist(turned, turned), torch.cdist(neutral, neutral), atol=1e-4, rtol=0)
    torch.testing.assert_close(run((0, 0), (5, -8, 3, 0.1, 0, 0), 0), neutral, atol=1e-4, rtol=0)
    torch.testing.assert_close(run((0, 0), (0, 0, 0, 0.1, 0.2, 0), 1)[:, :2], neutral[:, :2] + torch.tensor([0.1, 0.2]),
                               atol=1e-4, rtol=0)  # fmt: skip
