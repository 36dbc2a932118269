"""SPADE decoder: decode warped features to a picture (T. Park et al., arXiv 1903.07291)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.sadtalker.networks.layers import SpectralConv2d, scaled

SLOPE = 0.2
MIDDLE = 6
HIDDEN = 128


class Spade(nn.Module):
    """Instance norm whose scale and shift are computed at every pixel from the features to draw."""

    def __init__(self, channels: int, features: int, width: float) -> None:
        super().__init__()
        hidden = scaled(HIDDEN, width)
        self.mlp_shared = nn.Sequential(nn.Conv2d(features, hidden, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(hidden, channels, 3, padding=1)
        self.mlp_beta = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        """x [n, channels, H, W], features [n, F, h, w], brought to H x W by nearest neighbours."""
        shared = self.mlp_shared(F.interpolate(features, size=x.shape[2:]))
        return F.instance_norm(x) * (1 + self.mlp_gamma(shared)) + self.mlp_beta(shared)


class SpadeBlock(nn.Module):
    """Twice SPADE, leaky ReLU, convolution; added to the input, which is normed and convolved if channels change."""

    def __init__(self, inputs: int, outputs: int, features: int, width: float) -> None:
        super().__init__()
        middle = min(inputs, outputs)
        self.conv_0 = SpectralConv2d(inputs, middle, 3)
        self.conv_1 = SpectralConv2d(middle, outputs, 3)
        self.norm_0 = Spade(inputs, features, width)
        self.norm_1 = Spade(middle, features, width)
        self.learned_shortcut = inputs != outputs
        if self.learned_shortcut:
            self.conv_s = SpectralConv2d(inputs, outputs, 1, bias=False)
            self.norm_s = Spade(inputs, features, width)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        """x [n, inputs, H, W], features [n, F, h, w] -> [n, outputs, H, W]."""
        shortcut = self.conv_s(self.norm_s(x, features)) if self.learned_shortcut else x
        y = self.conv_0(F.leaky_relu(self.norm_0(x, features), SLOPE))
        return shortcut + self.conv_1(F.leaky_relu(self.norm_1(y, features), SLOPE))


class SpadeDecoder(nn.Module):
    """Network from features at a quarter of the picture's size to the picture."""

    def __init__(self, features: int, width: float = 1.0) -> None:
        super().__init__()
        wide, middle, narrow = (scaled(channels, width) for channels in (512, 256, 64))
        self.fc = nn.Conv2d(features, wide, 3, padding=1)
        for i in range(MIDDLE):
            self.add_module(f"G_middle_{i}", SpadeBlock(wide, wide, features, width))
        self.up_0 = SpadeBlock(wide, middle, features, width)
        self.up_1 = SpadeBlock(middle, narrow, features, width)
        self.conv_img = nn.Conv2d(narrow, 3, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """[n, F, S/4, S/4] -> RGB [n, 3, S, S] in 0..1."""
        x = self.fc(features)
        for i in range(MIDDLE):
            x = self.get_submodule(f"G_middle_{i}")(x, features)
        x = self.up_0(F.interpolate(x, scale_factor=2.0), features)
        x = self.up_1(F.interpolate(x, scale_factor=2.0), features)
        return torch.sigmoid(self.conv_img(F.leaky_relu(x, SLOPE)))
