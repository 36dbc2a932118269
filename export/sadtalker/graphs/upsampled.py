"""Convolve nearest-neighbour upsampled features without redundant sums.

When a 3x3 convolution reads features enlarged s times, most of its nine taps fall on the same value. Along an axis, one
value has s outputs: the first reads the left neighbour once and the value twice; the last likewise reads the right
neighbour; those between read only the value and are all equal. Two forms use this:

- phases: one small convolution per kind of output on the original features, and an interleaving of the results;
- transposed: one transposed convolution of stride s and kernel s + 2, whose taps are sums of the original's.

Both also accept features with a depth before height and width, which is not enlarged. Exact except for rounding.
"""

from __future__ import annotations

import itertools
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Form = Literal["plain", "phases", "transposed"]
KERNEL = 3
# Along an axis: the taps of 3 that fall on each value read. "first" reads (left, own), "last" (own, right).
_TAPS = {"first": ((0,), (1, 2)), "between": ((0, 1, 2),), "last": ((0, 1), (2,))}


class UpsampledConv(nn.Module):
    """ReLU of a 3x3 convolution of features enlarged `scale` times in height and width, by one of the forms."""

    def __init__(self, weight: Tensor, bias: Tensor, scale: int, form: Form) -> None:
        """weight [out, in, 3, 3] or [out, in, 3, 3, 3]; padding is 1 everywhere."""
        super().__init__()
        self.scale, self.form, self.deep = scale, form, weight.ndim == 5
        self.line = ("first", *["between"] * (scale - 2), "last")
        # "first" and "last" share a convolution: one reads at the next value the inputs the other reads at its own.
        kinds = (("first", "last"), ("between",))[: 2 if scale > 2 else 1]
        self.groups = list(itertools.product(kinds, kinds)) if form == "phases" else []
        self.kernels, self.biases = nn.ParameterList(), nn.ParameterList()
        for rows, columns in self.groups:
            kernels = [_merge(_merge(weight, row, -2), column, -1) for row in rows for column in columns]
            self._keep(torch.cat(kernels), bias.repeat(len(kernels)))
        if form != "phases":
            self._keep(_transposed_kernel(weight, scale) if form == "transposed" else weight, bias)

    def _keep(self, kernel: Tensor, bias: Tensor) -> None:
        self.kernels.append(nn.Parameter(kernel.detach()))
        self.biases.append(nn.Parameter(bias.detach()))

    def forward(self, x: Tensor) -> Tensor:
        """[1, in, (D,) H, W] -> [1, out, (D,) scale * H, scale * W]."""
        if self.form == "phases":
            return self._phases(x)
        kernel, bias = self.kernels[0], self.biases[0]
        if self.form == "transposed":
            if self.deep:
                return F.relu(F.conv_transpose3d(x, kernel, bias, (1, self.scale, self.scale), 1))
            return F.relu(F.conv_transpose2d(x, kernel, bias, self.scale, 1))
        convolve = F.conv3d if self.deep else F.conv2d
        return F.relu(convolve(enlarge(x, self.scale), kernel, bias, padding=1))

    def _phases(self, x: Tensor) -> Tensor:
        parts = {}
        height, width = (int(side) for side in x.shape[-2:])
        for (rows, columns), kernel, bias in zip(self.groups, self.kernels, self.biases, strict=True):
            down, right = len(rows) - 1, len(columns) - 1
            if self.deep:
                made = F.conv3d(x, kernel, bias, padding=(1, down, right))
            else:
                made = F.conv2d(x, kernel, bias, padding=(down, right))
            kinds = list(itertools.product(rows, columns))
            parted = torch.split(F.relu(made), len(bias) // len(kinds), 1)
            for kind, part in zip(kinds, parted, strict=True):
                top, left = (int(side == "last") for side in kind)
                parts[kind] = part.narrow(-2, top, height).narrow(-1, left, width)
        # Sizes as plain numbers: torch would export operations that compute them on every run.
        shape = [int(side) for side in parts["first", "first"].shape]
        lines = [torch.stack([parts[row, column] for column in self.line], -1) for row in self.line]
        wide = [line.reshape(*shape[:-1], width * self.scale) for line in lines]
        return torch.stack(wide, -2).reshape(*shape[:-2], height * self.scale, width * self.scale)


def enlarge(x: Tensor, scale: int) -> Tensor:
    """Enlarge height and width by nearest neighbours, with or without a leading depth axis."""
    factors = (1.0,) * (x.ndim - 4) + (float(scale),) * 2
    return F.interpolate(x, scale_factor=factors)


def _merge(weight: Tensor, kind: str, axis: int) -> Tensor:
    """Sum the kernel's taps along an axis where they fall on the same value."""
    return torch.stack([weight.index_select(axis, torch.tensor(taps)).sum(axis) for taps in _TAPS[kind]], axis)


def _transposed_kernel(weight: Tensor, scale: int) -> Tensor:
    """Build the transposed kernel, [in, out, (3,) scale + 2, scale + 2].

    Along each axis, tap t of output r is added at r - t + 2 of the new kernel.
    """
    for axis in (-2, -1):
        taps = [weight.select(axis, t) for t in range(KERNEL)]
        sums = [
            sum((taps[t] for t in range(KERNEL) if 0 <= place + t - 2 < scale), torch.zeros_like(taps[0]))
            for place in range(scale + KERNEL - 1)
        ]
        weight = torch.stack(sums, axis)
    if weight.ndim == 5:
        weight = weight.flip(2)  # a transposed convolution mirrors its kernel
    return weight.transpose(0, 1).contiguous()
