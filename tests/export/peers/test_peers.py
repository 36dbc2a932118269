"""The tables of other generators are of the size that their papers say, and any layer of them can be timed."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="onnx is not installed; pip install 'avatar-streamer[export]'")

from engines.runtime import cpu_backends
from export.peers.layers import Attention, Conv, Layer, Linear, seconds
from export.peers.tables import Table, liveportrait, musetalk, wav2lip


def parameters(table: Table) -> float:
    """Millions of weights in convolutions and linear layers."""
    count = 0
    for layer, times in table.items():
        if isinstance(layer, Conv):
            count += times * layer.inputs * layer.outputs * layer.kernel ** len(layer.size)
        elif isinstance(layer, Linear):
            count += times * layer.inputs * layer.outputs
    return count / 1e6


@pytest.mark.parametrize(
    ("table", "millions"),
    [
        (wav2lip(), 36.3),  # of its published checkpoint
        (liveportrait(), 45.5 + 55.4),  # warping module and SPADE decoder, of its authors' README
        (musetalk(), 860 + 49.5),  # Stable Diffusion 1's U-Net and the decoder of its autoencoder
    ],
)
def test_a_generator_has_about_as_many_weights_as_is_published(table: Table, millions: float) -> None:
    assert parameters(table) == pytest.approx(millions, rel=0.05)


@pytest.mark.parametrize(
    ("layer", "millions"),
    [
        (Conv(8, 16, (20, 30)), 0.6912),
        (Conv(8, 16, (20, 30), stride=2), 0.1728),
        (Conv(8, 16, (3, 3), pad=0), 0.001152),
        (Conv(8, 16, (20, 30), pad=1, up=True), 0.6912),
        (Conv(4, 4, (4, 8, 8), 7), 1.404928),
        (Linear(8, 16, 50), 0.0064),
        (Attention(32, 16, 50), 0.0512),
    ],
)
def test_a_layer_is_run_and_its_work_known(layer: Layer, millions: float, tmp_path: Path) -> None:
    assert layer.work / 1e6 == pytest.approx(millions)
    assert seconds(layer, cpu_backends(), tmp_path) > 0
