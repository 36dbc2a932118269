"""The keypoint detector: canonical keypoints of a portrait, without pose or expression."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.sadtalker.networks.layers import ConvNorm2d, Up3d, axis_coordinates, deepen, scaled
from export.sadtalker.networks.mapping import KEYPOINTS

DEPTH = 16
TEMPERATURE = 0.1
SHRINK = 4
SIGMA = 1.5  # pixels, of the Gaussian before shrinking
RADIUS = 6
DOWN = (64, 128, 256, 512, 1024)
UP = (512, 256, 128, 64, 32)


class KeypointDetector(nn.Module):
    """Canonical 3-D keypoints as expectations over heat maps."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.predictor = _Hourglass(width)
        self.kp = nn.Conv3d(scaled(UP[-1], width), KEYPOINTS, 3, padding=1)
        self.down = _Shrink()
        self.eval()

    def forward(self, portrait: Tensor) -> Tensor:
        """portrait [n, 3, S, S] in 0..1 -> keypoints [n, 15, 3] as (x, y, z) in -1..1; S a multiple of 128."""
        return expectations(self.kp(self.predictor(self.down(portrait))))


def expectations(heat: Tensor) -> Tensor:
    """Compute mean positions, [n, K, 3] as (x, y, z) in -1..1, under heat maps [n, K, D, H, W] of logits.

    Sums over one axis at a time: one sum over all voxels would lose two digits in single precision.
    """
    weight = F.softmax(heat.flatten(2) / TEMPERATURE, 2).reshape(heat.shape)
    rows = weight.sum(4)
    lines = (weight.sum(2).sum(2), rows.sum(2), rows.sum(3))
    return torch.stack([(line * axis_coordinates(line.shape[2]).to(line)).sum(2) for line in lines], 2)


class _Shrink(nn.Module):
    """Gaussian blur, then every fourth pixel. The kernel is computed, although checkpoints contain it."""

    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        offset = torch.arange(2 * RADIUS + 1, dtype=torch.float32) - RADIUS
        line = torch.exp(-(offset**2) / (2 * SIGMA**2))
        kernel = torch.outer(line, line)
        self.register_buffer("weight", (kernel / kernel.sum()).repeat(3, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, stride=SHRINK, padding=RADIUS, groups=3)


class _Hourglass(nn.Module):
    """Down in two dimensions, up in three: the bottleneck's channels become the depth."""

    def __init__(self, width: float) -> None:
        super().__init__()
        down = [3, *(scaled(channels, width) for channels in DOWN)]
        up = [down[-1], *(scaled(channels, width) for channels in UP)]
        self.down_blocks = nn.Sequential()
        for i, (inputs, outputs) in enumerate(pairwise(down)):
            self.down_blocks.add_module(f"down{i}", ConvNorm2d(inputs, outputs, pool=True))
        self.conv = nn.Conv2d(down[-1], up[0] * DEPTH, 1)
        self.up_blocks = nn.Sequential()
        for i, (inputs, outputs) in enumerate(pairwise(up)):
            self.up_blocks.add_module(f"up{i}", Up3d(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        flat = self.conv(self.down_blocks(x))
        return self.up_blocks(deepen(flat, DEPTH))
