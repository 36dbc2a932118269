"""Deep3DFaceRecon's ResNet-50: coefficients of a 3-D face model from a picture (Y. Deng et al., arXiv 1903.08527)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.sadtalker.networks.layers import scaled

HEADS = (80, 64, 80, 3, 27, 2, 1)  # identity, expression, texture, angle, lighting, translation x y, z
STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))  # channels inside the bottlenecks, blocks
EXPANSION = 4


class FaceRecon(nn.Module):
    """A ResNet-50 with one linear head per group of coefficients."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.backbone = _ResNet(width)
        self.final_layers = nn.ModuleList(nn.Conv2d(self.backbone.outputs, head, 1) for head in HEADS)
        self.eval()

    def forward(self, face: Tensor) -> Tensor:
        """face [n, 3, 224, 224] in 0..1, aligned -> coefficients [n, 257] in the order of HEADS."""
        features = self.backbone(face)
        return torch.cat([head(features) for head in self.final_layers], 1).flatten(1)


class _ResNet(nn.Module):
    def __init__(self, width: float) -> None:
        super().__init__()
        channels = scaled(64, width)
        self.conv1 = nn.Conv2d(3, channels, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        for i, (inside, blocks) in enumerate(STAGES):
            stage = nn.Sequential()
            for block in range(blocks):
                halve = block == 0 and i > 0
                stage.append(_Bottleneck(channels, scaled(inside, width), halve, project=block == 0))
                channels = scaled(inside, width) * EXPANSION
            self.add_module(f"layer{i + 1}", stage)
        self.outputs = channels

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for i in range(len(STAGES)):
            x = self.get_submodule(f"layer{i + 1}")(x)
        return x.mean((2, 3), keepdim=True)


class _Bottleneck(nn.Module):
    """1x1, 3x3 (which takes the stride), 1x1; added to the input, projected where its shape changes."""

    def __init__(self, inputs: int, inside: int, halve: bool, project: bool) -> None:
        super().__init__()
        outputs, stride = inside * EXPANSION, 2 if halve else 1
        self.conv1, self.bn1 = nn.Conv2d(inputs, inside, 1, bias=False), nn.BatchNorm2d(inside)
        self.conv2, self.bn2 = nn.Conv2d(inside, inside, 3, stride, 1, bias=False), nn.BatchNorm2d(inside)
        self.conv3, self.bn3 = nn.Conv2d(inside, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        projection = (nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.downsample = nn.Sequential(*projection) if project else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x))
