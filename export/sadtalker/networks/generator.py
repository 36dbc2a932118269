"""Generator: encode a portrait's appearance once, and render frames driven by keypoints.

After T.-C. Wang et al., "One-Shot Free-View Neural Talking-Head Synthesis" (arXiv 2011.15126).
"""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from export.sadtalker.networks.dense_motion import DenseMotion
from export.sadtalker.networks.keypoints import DEPTH
from export.sadtalker.networks.layers import ConvNorm2d, Residual3d, Sampler, deepen, sample_volume, scaled
from export.sadtalker.networks.spade import SpadeDecoder

VOLUME = 32  # channels of the feature volume
RESIDUALS = 6
LEAK = 0.01


class Appearance(NamedTuple):
    """Constant features of a portrait of S x S pixels.

    volume: features [1, 32, 16, S/4, S/4]; compressed: the same, compressed for dense motion, [1, 4, 16, S/4, S/4].
    """

    volume: Tensor
    compressed: Tensor


class Rendering(NamedTuple):
    """A frame and its intermediate results.

    prediction: RGB [n, 3, S, S] in 0..1; deformation: [n, 16, S/4, S/4, 3], source positions of voxels, (x, y, z) in
    -1..1; occlusion: [n, 1, S/4, S/4] in 0..1, small where content must be inpainted; masks: [n, 16, 16, S/4, S/4].
    """

    prediction: Tensor
    deformation: Tensor
    occlusion: Tensor
    masks: Tensor


class Generator(nn.Module):
    """`appearance` once per portrait, `render` per frame; `warp` and `decoder` are parts of `render`."""

    def __init__(self, width: float = 1.0, sampler: Sampler = sample_volume) -> None:
        super().__init__()
        volume = scaled(VOLUME, width)
        enter, half, quarter = (scaled(channels, width) for channels in (64, 128, 256))
        self.dense_motion_network = DenseMotion(volume, width, sampler)
        self.first = ConvNorm2d(3, enter)
        self.down_blocks = nn.Sequential(
            ConvNorm2d(enter, half, pool=True),
            ConvNorm2d(half, quarter, pool=True),
        )
        self.second = nn.Conv2d(quarter, volume * DEPTH, 1)
        self.resblocks_3d = nn.Sequential()
        for i in range(RESIDUALS):
            self.resblocks_3d.add_module(f"3dr{i}", Residual3d(volume))
        self.third = ConvNorm2d(volume * DEPTH, quarter, slope=LEAK)
        self.fourth = nn.Conv2d(quarter, quarter, 1)
        self.decoder = SpadeDecoder(quarter, width)
        self.sampler = sampler
        self.eval()

    def appearance(self, portrait: Tensor) -> Appearance:
        """Encode a portrait [1, 3, S, S] in 0..1, S a multiple of 128."""
        flat = self.second(self.down_blocks(self.first(portrait)))
        volume = self.resblocks_3d(deepen(flat, DEPTH))
        return Appearance(volume, self.dense_motion_network.compressed(volume))

    def warp(self, volume: Tensor, deformation: Tensor, occlusion: Tensor) -> Tensor:
        """Warp the volume [1 or n, 32, D, H, W], flatten and mask it: features [n, 256, H, W] for `decoder`."""
        moved = self.sampler(volume.expand(deformation.shape[0], -1, -1, -1, -1), deformation)
        return self.fourth(self.third(moved.flatten(1, 2))) * occlusion

    def render(self, appearance: Appearance, driving: Tensor, source: Tensor) -> Rendering:
        """Render frames whose motion is that from `source` keypoints [1 or n, 15, 3] to `driving` ones [n, 15, 3]."""
        deformation, occlusion, masks = self.dense_motion_network(appearance.compressed, driving, source)
        picture = self.decoder(self.warp(appearance.volume, deformation, occlusion))
        return Rendering(picture, deformation, occlusion, masks)

    def forward(self, portrait: Tensor, driving: Tensor, source: Tensor) -> Rendering:
        """Run `appearance` and `render`."""
        return self.render(self.appearance(portrait), driving, source)


def to_frame(prediction: Tensor) -> Tensor:
    """Convert RGB [n, 3, H, W] in 0..1 to pixels uint8 [n, H, W, 3]."""
    return (F.hardtanh(prediction, 0.0, 1.0) * 255.0).round().permute(0, 2, 3, 1).byte()
