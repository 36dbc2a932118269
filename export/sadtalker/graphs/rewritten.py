"""Rewrite the two per-frame networks to compute the same result with fewer and larger convolutions.

Both start from the official weights with batch and spectral norm folded in. The rewrites:

- a convolution of features enlarged by nearest neighbours avoids redundant sums (`upsampled`);
- SPADE norms that read the same features at the same size share their first convolution;
- a SPADE norm's scale and shift come from one convolution;
- instance norm comes before enlarging: copied neighbours change neither mean nor variance;
- in the shortcut, conv(x * scale + shift) = conv(x * scale) + conv(shift): the second term's two convolutions, with
  nothing between them, are merged into one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.sadtalker.graphs.upsampled import Form, UpsampledConv, enlarge
from export.sadtalker.networks.dense_motion import DenseMotion
from export.sadtalker.networks.generator import LEAK, Generator
from export.sadtalker.networks.spade import MIDDLE, SLOPE, Spade, SpadeBlock


@dataclass(frozen=True)
class Forms:
    """Forms of `UpsampledConv`: in the hourglass, and in the decoder's last two blocks."""

    hourglass: Form
    up_0: Form
    up_1: Form


class Estimate(nn.Module):
    """The motion network: a 3-D hourglass, then masks and occlusion."""

    def __init__(self, network: DenseMotion, forms: Forms) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            _Folded(block) for block in cast(nn.ModuleList, network.hourglass.encoder["down_blocks"])
        )
        ups = cast(nn.ModuleList, network.hourglass.decoder["up_blocks"])
        self.up = nn.ModuleList(
            UpsampledConv(*fold(cast(nn.Conv3d, up.conv), cast(nn.BatchNorm3d, up.norm)), 2, forms.hourglass)
            for up in ups
        )
        self.last = _Folded(network.hourglass.decoder)
        self.mask, self.occlusion = network.mask, network.occlusion

    def forward(self, evidence: Tensor) -> tuple[Tensor, Tensor]:
        """evidence [1, 80, D, H, W] -> logits [1, 16, D, H, W], occlusion [1, 1, H, W]."""
        skips = [evidence]
        for block in self.down:
            skips.append(F.avg_pool3d(block(skips[-1]), (1, 2, 2)))
        x = skips.pop()
        for block in self.up:
            x = torch.cat([block(x), skips.pop()], 1)
        x = self.last(x)
        _, channels, depth, height, width = (int(side) for side in x.shape)
        return self.mask(x), torch.sigmoid(self.occlusion(x.reshape(1, channels * depth, height, width)))


class _Folded(nn.Module):
    """ReLU of a 3-D convolution with its block's batch norm folded in."""

    def __init__(self, block: nn.Module | nn.ModuleDict) -> None:
        super().__init__()
        parts = dict(block.named_children())
        weight, bias = fold(cast(nn.Conv3d, parts["conv"]), cast(nn.BatchNorm3d, parts["norm"]))
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(F.conv3d(x, self.weight, self.bias, padding=1))


class Decode(nn.Module):
    """Decode warped features to the picture: the rest of the generator's 2-D part, and the SPADE decoder."""

    def __init__(self, network: Generator, forms: Forms) -> None:
        super().__init__()
        decoder = network.decoder
        weight, bias = fold(network.third.conv, network.third.norm)
        self.third_weight, self.third_bias = nn.Parameter(weight), nn.Parameter(bias)
        self.fourth, self.fc, self.conv_img = network.fourth, decoder.fc, decoder.conv_img
        middle = [cast(SpadeBlock, decoder.get_submodule(f"G_middle_{i}")) for i in range(MIDDLE)]
        self.shared = _shared([norm for block in middle for norm in (block.norm_0, block.norm_1)], 1, "plain")
        self.middle = nn.ModuleList(map(_Middle, middle))
        self.hidden = middle[0].norm_0.mlp_gamma.in_channels
        self.up_0, self.up_1 = _Up(decoder.up_0, 2, forms.up_0), _Up(decoder.up_1, 4, forms.up_1)

    def forward(self, warped: Tensor, occlusion: Tensor) -> Tensor:
        """warped [1, 512, H, W], occlusion [1, 1, H, W] -> image [1, 3, S, S] in 0..1."""
        x = F.leaky_relu(F.conv2d(warped, self.third_weight, self.third_bias, padding=1), LEAK)
        features = self.fourth(x) * occlusion
        shared = self.shared(features).split(self.hidden, 1)
        x = self.fc(features)
        for i, block in enumerate(self.middle):
            x = block(x, shared[2 * i], shared[2 * i + 1])
        x = self.up_1(self.up_0(x, features), features)
        return torch.sigmoid(self.conv_img(F.leaky_relu(x, SLOPE)))


class _Middle(nn.Module):
    """A SPADE block that keeps channels and size."""

    def __init__(self, block: SpadeBlock) -> None:
        super().__init__()
        self.norm_0, self.norm_1 = _Modulation(block.norm_0), _Modulation(block.norm_1)
        self.conv_0, self.conv_1 = _plain(block, "conv_0"), _plain(block, "conv_1")

    def forward(self, x: Tensor, shared_0: Tensor, shared_1: Tensor) -> Tensor:
        y = self.conv_0(F.leaky_relu(self.norm_0(F.instance_norm(x), shared_0), SLOPE))
        return x + self.conv_1(F.leaky_relu(self.norm_1(F.instance_norm(y), shared_1), SLOPE))


class _Up(nn.Module):
    """Nearest-neighbour enlargement by two and a SPADE block with a learned shortcut.

    scale: size of the result relative to the features.
    """

    def __init__(self, block: SpadeBlock, scale: int, form: Form) -> None:
        super().__init__()
        self.shared = _shared([block.norm_0, block.norm_1, block.norm_s], scale, form)
        self.norm_0, self.norm_1 = _Modulation(block.norm_0), _Modulation(block.norm_1)
        self.conv_0, self.conv_1 = _plain(block, "conv_0"), _plain(block, "conv_1")
        self.scale_s, shift = block.norm_s.mlp_gamma, block.norm_s.mlp_beta
        self.conv_s = _plain(block, "conv_s")
        mix = block.conv_s.weight().flatten(1)
        self.shift_s = nn.Conv2d(shift.in_channels, mix.shape[0], 3, padding=1)
        self.shift_s.weight = nn.Parameter(torch.einsum("oc,cikl->oikl", mix, shift.weight).detach())
        self.shift_s.bias = nn.Parameter((mix @ cast(Tensor, shift.bias)).detach())

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        shared_0, shared_1, shared_s = self.shared(features).split(self.scale_s.in_channels, 1)
        x = enlarge(F.instance_norm(x), 2)
        shortcut = self.conv_s(x * (1 + self.scale_s(shared_s))) + self.shift_s(shared_s)
        y = self.conv_0(F.leaky_relu(self.norm_0(x, shared_0), SLOPE))
        return shortcut + self.conv_1(F.leaky_relu(self.norm_1(F.instance_norm(y), shared_1), SLOPE))


class _Modulation(nn.Module):
    """x * (1 + scale) + shift, both from one convolution; the 1 is in its bias."""

    def __init__(self, norm: Spade) -> None:
        super().__init__()
        gamma, beta = norm.mlp_gamma, norm.mlp_beta
        self.conv = nn.Conv2d(gamma.in_channels, 2 * gamma.out_channels, 3, padding=1)
        self.conv.weight = nn.Parameter(torch.cat([gamma.weight, beta.weight]).detach())
        self.conv.bias = nn.Parameter(torch.cat([1 + cast(Tensor, gamma.bias), cast(Tensor, beta.bias)]).detach())

    def forward(self, x: Tensor, shared: Tensor) -> Tensor:
        scale, shift = self.conv(shared).split(self.conv.out_channels // 2, 1)
        return x * scale + shift


def _shared(norms: list[Spade], scale: int, form: Form) -> nn.Module:
    """Merge the first convolutions of several norms into one, with outputs in their order."""
    convs = [cast(nn.Conv2d, norm.mlp_shared[0]) for norm in norms]
    weight = torch.cat([conv.weight for conv in convs])
    bias = torch.cat([cast(Tensor, conv.bias) for conv in convs])
    return UpsampledConv(weight, bias, scale, form)


def _plain(block: SpadeBlock, name: str) -> nn.Conv2d:
    """Return a block's convolution with its spectral norm folded in."""
    conv = block.get_submodule(name)
    weight = cast(Tensor, conv.weight()).detach()  # type: ignore[operator]
    plain = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[-1], padding=weight.shape[-1] // 2)
    plain.weight = nn.Parameter(weight)
    bias = cast(Tensor | None, conv.bias)
    plain.bias = nn.Parameter(torch.zeros(len(weight)) if bias is None else bias.detach())
    return plain


def fold(conv: nn.Conv2d | nn.Conv3d, norm: nn.BatchNorm2d | nn.BatchNorm3d) -> tuple[Tensor, Tensor]:
    """Fold `norm`, in evaluation mode, into the preceding `conv`; return weight and bias."""
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    factor = norm.weight / torch.sqrt(variance + norm.eps)
    weight = conv.weight * factor.reshape(-1, *[1] * (conv.weight.ndim - 1))
    return weight.detach(), ((cast(Tensor, conv.bias) - mean) * factor + norm.bias).detach()
