"""Layers common to several networks: blocks of convolution and batch norm, spectral norm, coordinates, sampling."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Sampler = Callable[[Tensor, Tensor], Tensor]  # volume [N,C,D,H,W], grid [N,D,H,W,3] -> [N,C,D,H,W]

FEWEST_CHANNELS = 4


def scaled(channels: int, width: float) -> int:
    """Return the scaled channel count of a layer that has `channels` at width 1."""
    return max(FEWEST_CHANNELS, round(channels * width))


class ConvNorm2d(nn.Module):
    """Convolution 3x3, batch norm, (leaky) ReLU; with `pool`, an average over 2x2."""

    def __init__(self, inputs: int, outputs: int, pool: bool = False, slope: float = 0.0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = nn.BatchNorm2d(outputs)
        self.pool, self.slope = pool, slope

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H, W], halved in H and W by `pool`."""
        x = F.leaky_relu(self.norm(self.conv(x)), self.slope)
        return F.avg_pool2d(x, 2) if self.pool else x


class Down3d(nn.Module):
    """Convolution 3x3x3, batch norm, ReLU, and an average over 2x2 that leaves the depth alone."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(inputs, outputs, 3, padding=1)
        self.norm = nn.BatchNorm3d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, D, H, W] -> [N, outputs, D, H/2, W/2]."""
        return F.avg_pool3d(F.relu(self.norm(self.conv(x))), (1, 2, 2))


class Up3d(nn.Module):
    """Nearest-neighbour upsampling in height and width, convolution 3x3x3, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(inputs, outputs, 3, padding=1)
        self.norm = nn.BatchNorm3d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, D, H, W] -> [N, outputs, D, 2H, 2W]."""
        return F.relu(self.norm(self.conv(F.interpolate(x, scale_factor=(1.0, 2.0, 2.0)))))


class Residual3d(nn.Module):
    """Twice batch norm, ReLU, convolution 3x3x3; added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv3d(channels, channels, 3, padding=1)
        self.norm1 = nn.BatchNorm3d(channels)
        self.norm2 = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, D, H, W], shape kept."""
        y = self.conv1(F.relu(self.norm1(x)))
        return x + self.conv2(F.relu(self.norm2(y)))


class SpectralConv2d(nn.Module):
    """A convolution whose weight is divided by its largest singular value, as training left it in u and v.

    T. Miyato et al., "Spectral Normalization for Generative Adversarial Networks", arXiv 1802.05957. The vectors are
    never updated here, so the weight is a constant that an export can fold.
    """

    weight_u: Tensor
    weight_v: Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int, bias: bool = True) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.weight_orig = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        nn.init.kaiming_uniform_(self.weight_orig)
        self.register_buffer("weight_u", F.normalize(torch.ones(outputs), dim=0))
        self.register_buffer("weight_v", F.normalize(torch.ones(inputs * kernel * kernel), dim=0))
        self.padding = kernel // 2

    def weight(self) -> Tensor:
        """The normalised weight, [outputs, inputs, kernel, kernel]."""
        sigma = torch.dot(self.weight_u, torch.mv(self.weight_orig.flatten(1), self.weight_v))
        return self.weight_orig / sigma

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H, W]."""
        return F.conv2d(x, self.weight(), self.bias, padding=self.padding)


def deepen(x: Tensor, depth: int) -> Tensor:
    """Split channels into channels and depth, [N, C * depth, H, W] -> [N, C, depth, H, W].

    The sizes are plain numbers, so that an exported graph contains them as constants.
    """
    count, channels, height, width = (int(side) for side in x.shape)
    return x.reshape(count, channels // depth, depth, height, width)


def axis_coordinates(size: int) -> Tensor:
    """Return coordinates of `size` pixels or voxels along an axis, the outermost ones at -1 and 1."""
    # In this order of operations: torch.linspace differs in the last bit from the training code.
    return 2.0 * (torch.arange(size, dtype=torch.float32) / (size - 1)) - 1.0


def coordinate_grid(depth: int, height: int, width: int) -> Tensor:
    """Return coordinates of a volume's voxels, [depth, height, width, 3] as (x, y, z), the outermost at -1 and 1."""
    z, y, x = (axis_coordinates(size) for size in (depth, height, width))
    grids = torch.meshgrid(z, y, x, indexing="ij")
    return torch.stack(grids[::-1], -1)


def sample_volume(volume: Tensor, grid: Tensor) -> Tensor:
    """Sample `volume` [N,C,D,H,W] trilinearly at `grid` [N,D,H,W,3] as (x, y, z), zeros outside.

    Here -1 and 1 are the volume's borders, while in `coordinate_grid` they are the centres of the outermost voxels: the
    networks were trained with this mismatch.
    """
    return F.grid_sample(volume, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
