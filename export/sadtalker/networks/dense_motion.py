"""Dense motion: compute each voxel's source position and the occlusion map from two sets of keypoints."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.sadtalker.networks.keypoints import DEPTH
from export.sadtalker.networks.layers import Down3d, Sampler, Up3d, coordinate_grid, sample_volume, scaled
from export.sadtalker.networks.mapping import KEYPOINTS

MOTIONS = KEYPOINTS + 1  # one per keypoint, and the static background
COMPRESSED = 4  # channels of the volume that the estimate reads
VARIANCE = 0.01  # of the keypoints' Gaussians
MASK_FLOOR = 1e-3  # smaller masks are set to zero
DOWN = (64, 128, 256, 512, 1024)
UP = (512, 256, 128, 64, 32)


class Candidates(NamedTuple):
    """Candidate motions: source positions [n,16,D,H,W,3] for each of the 16, and the hourglass's input.

    evidence: [n, 16 * (1 + 4), D, H, W], per motion the heat map's change and the compressed volume moved.
    """

    motions: Tensor
    evidence: Tensor


class Estimate(NamedTuple):
    """Logits of the motions' masks [n, 16, D, H, W] and the occlusion map [n, 1, H, W] in 0..1."""

    logits: Tensor
    occlusion: Tensor


class DenseMotion(nn.Module):
    """Geometry (`candidates`), estimate, geometry again (`deformation`): an export may cut between them."""

    def __init__(self, volume: int, width: float = 1.0, sampler: Sampler = sample_volume) -> None:
        super().__init__()
        inputs = MOTIONS * (1 + COMPRESSED)
        self.hourglass = _Hourglass(inputs, width)
        features = inputs + scaled(UP[-1], width)
        self.mask = nn.Conv3d(features, MOTIONS, 7, padding=3)
        self.compress = nn.Conv3d(volume, COMPRESSED, 1)
        self.norm = nn.BatchNorm3d(COMPRESSED)
        self.occlusion = nn.Conv2d(features * DEPTH, 1, 7, padding=3)
        self.sampler = sampler

    def compressed(self, volume: Tensor) -> Tensor:
        """Compress a portrait's volume for the estimate, [1, C, D, H, W] -> [1, 4, D, H, W]."""
        return F.relu(self.norm(self.compress(volume)))

    def candidates(self, compressed: Tensor, driving: Tensor, source: Tensor) -> Candidates:
        """Compute candidate motions. compressed: [1 or n, 4, D, H, W]; driving: [n, 15, 3]; source: [1 or n, 15, 3]."""
        size = compressed.shape[2:]
        count = driving.shape[0]
        grid = coordinate_grid(*size).to(driving)
        moves = grid - driving[:, :, None, None, None] + source[:, :, None, None, None]
        motions = torch.cat([grid.expand(count, 1, *grid.shape), moves], 1)
        volumes = compressed[:, None].expand(count, MOTIONS, COMPRESSED, *size).flatten(0, 1)
        moved = self.sampler(volumes, motions.flatten(0, 1)).reshape(count, MOTIONS, COMPRESSED, *size)
        change = gaussians(driving, grid) - gaussians(source, grid)
        change = torch.cat([torch.zeros_like(change[:, :1]), change], 1)
        return Candidates(motions, torch.cat([change[:, :, None], moved], 2).flatten(1, 2))

    def estimate(self, evidence: Tensor) -> Estimate:
        """Compute the masks' logits and occlusion from the evidence of `candidates`."""
        features = self.hourglass(evidence)
        return Estimate(self.mask(features), torch.sigmoid(self.occlusion(features.flatten(1, 2))))

    def forward(self, compressed: Tensor, driving: Tensor, source: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `candidates` -> deformation [n, D, H, W, 3], occlusion [n, 1, H, W], masks [n, 16, D, H, W]."""
        candidates = self.candidates(compressed, driving, source)
        estimate = self.estimate(candidates.evidence)
        masks = F.softmax(estimate.logits, 1)
        return deformation(masks, candidates.motions), estimate.occlusion, masks


def deformation(masks: Tensor, motions: Tensor) -> Tensor:
    """Mix the motions by masks [n, 16, D, H, W] to each voxel's source position, [n, D, H, W, 3].

    Masks below MASK_FLOOR are set to zero without renormalisation: the masks may sum to slightly below 1.
    """
    kept = torch.where(masks < MASK_FLOOR, torch.zeros_like(masks), masks)
    return (kept[..., None] * motions).sum(1)


def gaussians(keypoints: Tensor, grid: Tensor) -> Tensor:
    """Compute heat maps [n, K, D, H, W] of keypoints [n, K, 3] on a grid [D, H, W, 3]; 1 at each keypoint."""
    distance = (grid - keypoints[:, :, None, None, None]).square().sum(-1)
    return torch.exp(-0.5 * distance / VARIANCE)


class _Hourglass(nn.Module):
    """A 3-D U-Net, pooled in height and width only; its output includes its input."""

    def __init__(self, inputs: int, width: float) -> None:
        super().__init__()
        down = [inputs, *(scaled(channels, width) for channels in DOWN)]
        self.encoder = nn.ModuleDict({"down_blocks": nn.ModuleList(map(Down3d, down, down[1:]))})
        ups, channels = nn.ModuleList(), down[-1]
        for outputs, skip in zip((scaled(channels, width) for channels in UP), down[-2::-1], strict=True):
            ups.append(Up3d(channels, outputs))
            channels = outputs + skip
        conv = nn.Conv3d(channels, channels, 3, padding=1)
        self.decoder = nn.ModuleDict({"up_blocks": ups, "conv": conv, "norm": nn.BatchNorm3d(channels)})

    def forward(self, x: Tensor) -> Tensor:
        skips = [x]
        for block in self.encoder.get_submodule("down_blocks").children():
            skips.append(block(skips[-1]))
        x = skips.pop()
        for block in self.decoder.get_submodule("up_blocks").children():
            x = torch.cat([block(x), skips.pop()], 1)
        return F.relu(self.decoder["norm"](self.decoder["conv"](x)))
