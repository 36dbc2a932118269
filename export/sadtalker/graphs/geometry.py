"""Compute the two coordinate-dependent parts of a frame exactly and cheaply. Both stay in float32.

`Look` translates the portrait's volume with every keypoint. A translation is the same for all voxels, so trilinear
sampling separates into an interpolation along each axis: three small matrix products instead of sixteen samplings of
a volume, and no GridSample. `Warp` mixes the motions and does the one remaining sampling.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.sadtalker.networks.dense_motion import MASK_FLOOR, MOTIONS, VARIANCE
from export.sadtalker.networks.layers import Sampler, axis_coordinates, sample_volume

AXES = 3  # of keypoints and grids: x, y, z


class Look(nn.Module):
    """Input of the motion network: for each motion, the heat map's change and the translated compressed volume."""

    def forward(self, compressed: Tensor, source_keypoints: Tensor, driving_keypoints: Tensor) -> Tensor:
        """compressed [1, 4, D, H, W], keypoints [1, 15, 3] -> evidence [1, 16 * (1 + 4), D, H, W]."""
        sizes = [int(size) for size in compressed.shape[:1:-1]]  # of the axes x, y, z
        lines = [axis_coordinates(size) for size in sizes]
        x, y, z = map(_hats, _motions(source_keypoints, driving_keypoints, lines), sizes)
        width, height, depth = sizes
        moved = compressed.reshape(1, -1, width) @ x.transpose(1, 2)
        moved = y[:, None] @ moved.reshape(MOTIONS, -1, height, width)
        moved = z[:, None] @ moved.reshape(MOTIONS, -1, depth, height * width)
        change = _heat(driving_keypoints[0], lines) - _heat(source_keypoints[0], lines)
        change = torch.cat([torch.zeros(1, depth, height, width), change])
        evidence = torch.cat([change[:, None], moved.reshape(MOTIONS, -1, depth, height, width)], 1)
        return evidence.reshape(1, -1, depth, height, width)


def _motions(source_keypoints: Tensor, driving_keypoints: Tensor, lines: list[Tensor]) -> list[Tensor]:
    """Compute each motion's source coordinates along each axis, [16, n] of lines [n]; the static background is first.

    Sums are in the reference's order: another order would round keypoints far outside the picture differently.
    """
    moved = [
        (line - driving_keypoints[0, :, axis, None]) + source_keypoints[0, :, axis, None]
        for axis, line in enumerate(lines)
    ]
    return [torch.cat([line[None], motion]) for line, motion in zip(lines, moved, strict=True)]


def _hats(coordinates: Tensor, size: int) -> Tensor:
    """Build matrices [K, n, size] of linear interpolation at `coordinates` [K, n] in -1..1 of `size` samples.

    As in `sample_volume`, -1 and 1 are the outer edges of the outermost samples; zeros lie outside.
    """
    positions = ((coordinates + 1) * size - 1) / 2
    return F.relu(1 - (positions[..., None] - torch.arange(size)).abs())


def _heat(keypoints: Tensor, lines: list[Tensor]) -> Tensor:
    """Compute Gaussian heat maps [K, D, H, W] of keypoints [K, 3], as products of one Gaussian along each axis."""
    x, y, z = ((-0.5 / VARIANCE * (line - keypoints[:, axis, None]) ** 2).exp() for axis, line in enumerate(lines))
    return z[:, :, None, None] * (y[:, :, None] * x[:, None])[:, None]


class Warp(nn.Module):
    """Mix the motions by their masks and sample the volume along the resulting deformation."""

    def __init__(self, sampler: Sampler = sample_volume) -> None:
        super().__init__()
        self.sampler = sampler

    def forward(
        self, volume: Tensor, logits: Tensor, source_keypoints: Tensor, driving_keypoints: Tensor
    ) -> tuple[Tensor, Tensor]:
        """volume [1, C, D, H, W], logits [1, 16, D, H, W] -> warped [1, C * D, H, W], deformation [1, D, H, W, 3].

        Each coordinate of a motion depends on that axis only, so the 16 motions of all voxels are never expanded.
        """
        depth, height, width = (int(size) for size in logits.shape[2:])
        masks = F.softmax(logits, 1)
        masks = torch.where(masks < MASK_FLOOR, torch.zeros(()), masks)
        lines = [axis_coordinates(size) for size in (width, height, depth)]
        x, y, z = _motions(source_keypoints, driving_keypoints, lines)
        spread = (x[:, None, None], y[:, None, :, None], z[:, :, None, None])
        deformation = torch.stack([(masks * motion).sum(1) for motion in spread], -1)
        return self.sampler(volume, deformation).reshape(1, -1, height, width), deformation


def sample_atlas(volume: Tensor, grid: Tensor) -> Tensor:
    """Compute `sample_volume` by two 2-D samplings, for engines without 3-D sampling (OpenVINO).

    The volume's slices are stacked in one tall picture, separated by rows of zeros; a sample interpolates linearly
    between the two nearest slices. Rounding is coarser, since one coordinate spans all slices.
    """
    depth, height, width = (int(size) for size in volume.shape[2:])
    padded = F.pad(volume, (0, 0, 1, 1, 1, 1))  # rows of zeros above and below, slices of zeros before and after
    rows = (depth + 2) * (height + 2)
    atlas = padded.reshape(1, -1, rows, width)
    x, y, z = grid.reshape(1, -1, width, AXES).unbind(3)
    row = (((y + 1) * height - 1) / 2).clamp(-1, height) + 1  # farther outside there are only zeros
    layer = (((z + 1) * depth - 1) / 2).clamp(-1, depth) + 1
    near = layer.floor().clamp(max=depth)
    share = (layer - near)[:, None]

    def sample(slices: Tensor) -> Tensor:
        tall = ((slices * (height + 2) + row) * 2 + 1) / rows - 1
        return F.grid_sample(atlas, torch.stack([x, tall], 3), padding_mode="zeros", align_corners=False)

    mixed = sample(near) * (1 - share) + sample(near + 1) * share
    return mixed.reshape(1, -1, depth, height, width)
