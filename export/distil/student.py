"""The student: the starter's generator for one avatar, driven by the teacher's keypoints.

The starter's generator gets outlines of lips, lids and teeth as input. A family such as SadTalker's has about a dozen
self-learnt keypoints instead, so a small network draws conditioning maps from them in place of the outlines; it is
trained together with the generator. Only one window over the face is painted.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from export.distil.teacher import PAINTED
from export.starter.training.generator import (
    CONDITIONS,
    FINE,
    GRID,
    LEVELS,
    SIZE,
    Features,
    Generator,
    Motion,
    MotionPrior,
    Painting,
    blend,
    crop,
    sample,
    window_grid,
)

FEW = 64  # keypoints up to which the prior uses all; of more, it uses about MANY
MANY = 192
WIDE_LEVELS = ((0.35, 1.0), (0.15, 0.5))  # of the prior's interpolation, for few keypoints
MOST_SUMMED = 800  # lessons used by `code_of`, at most
CODE = 48  # principal components of the keypoints, at most
HIDDEN, SEED, SEED_SIDE = 128, 40, 8  # drawing network: hidden units, and channels and side of its first maps
BLANK = -3.0  # initial logit of the maps: nothing drawn, as on most of a picture

assert PAINTED == FINE * SIZE


def code_of(keypoints: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
    """Compute the mean [3 K] of keypoints [n, K, 3], and principal axes [3 K, D] that give codes of unit variance."""
    rows = keypoints.reshape(len(keypoints), -1)[:MOST_SUMMED].astype(np.float64)
    mean = rows.mean(0)
    away = rows - mean
    # Eigenvectors of the smaller square product: a singular value decomposition of up to 3,000 columns takes a minute.
    tall = len(away) > away.shape[1]
    squares, vectors = np.linalg.eigh(away.T @ away if tall else away @ away.T)
    kept = np.flatnonzero(squares > 1e-9 * max(float(squares[-1]), 1e-12))[::-1][:CODE]
    lengths = np.sqrt(squares[kept])
    axes = vectors[:, kept] if tall else away.T @ vectors[:, kept] / lengths
    scaled = axes * (np.sqrt(len(rows)) / lengths)
    return torch.from_numpy(mean).float(), torch.from_numpy(scaled).float()


class Drawing(nn.Module):
    """Network that draws a generator's conditioning maps from keypoints."""

    mean: Tensor
    axes: Tensor

    def __init__(self, mean: Tensor, axes: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("axes", axes)
        self.layers = nn.Sequential(
            nn.Linear(axes.shape[1], HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, SEED * SEED_SIDE**2), nn.SiLU()
        )
        sides = (SEED, 32, 24, 16)
        self.finer = nn.ModuleList(nn.Conv2d(a, b, 3, 1, 1) for a, b in pairwise(sides))
        self.draw = nn.Conv2d(sides[-1], CONDITIONS, 3, 1, 1)
        nn.init.constant_(self.draw.bias, BLANK)  # type: ignore[arg-type]

    def forward(self, keypoints: Tensor) -> Tensor:
        """[B, K, 3] -> [B, CONDITIONS, GRID, GRID] in 0..1."""
        code = (keypoints.flatten(1) - self.mean) @ self.axes
        x = self.layers(code.clamp(-6, 6)).view(-1, SEED, SEED_SIDE, SEED_SIDE)
        for layer in self.finer:
            x = F.silu(layer(F.interpolate(x, scale_factor=2.0)))
        return torch.sigmoid(self.draw(x))


class Student(nn.Module):
    """Network from one avatar's keypoints to its pictures of `size` pixels a side."""

    portrait: Tensor
    source: Tensor

    def __init__(self, portrait: Tensor, source: Tensor, mean: Tensor, axes: Tensor) -> None:
        """portrait: [1, 3, S, S] in 0..1; source: its keypoints, [1, K, 3]; mean, axes: see `code_of`."""
        super().__init__()
        self.register_buffer("portrait", portrait)
        self.register_buffer("source", source)
        self.size = portrait.shape[-1]
        self.drawing = Drawing(mean, axes)
        count = source.shape[1]
        chosen, levels = range(0, count, max(1, count // MANY)), LEVELS
        if count <= FEW:
            chosen, levels = range(count), WIDE_LEVELS
        self.generator = Generator(MotionPrior(chosen, levels))

    def forward(
        self, driving: Tensor, windows: list[tuple[int, int]], extent: tuple[int, int]
    ) -> tuple[Painting, Motion]:
        """Paint one window of each frame: (top, left) and `extent` in the network's pixels; driving: [B, K, 3]."""
        count, model = len(driving), self.generator
        portrait = resized(self.portrait, SIZE)
        both = torch.cat([portrait, finer(self.drawing(self.source))], 1)
        drawn = self.drawing(driving)
        features = model.appearance(portrait, both[:, 3:])
        small = F.avg_pool2d(both, SIZE // GRID).expand(count, -1, -1, -1)
        seen, flow = model.look(small, drawn, self.source.expand(count, -1, -1), driving)
        motion = model.move(seen, flow)

        def warp(image: Tensor, occluded: bool) -> Tensor:
            places = window_grid(windows, extent, image.shape[-1], image.device)
            grid = F.grid_sample(motion.grid, places, align_corners=False, padding_mode="border")
            warped = sample(image.expand(count, -1, -1, -1), grid[:, :2])
            return warped * grid[:, 2:] if occluded else warped

        warped = Features(*(warp(map_, True) for map_ in (features.half, features.quarter, features.eighth)))
        painted = model.decode(
            warped, crop(motion.context, windows, extent), warp(both, False), crop(finer(drawn), windows, extent)
        )
        return blend(pooled(painted, self.size), warp(self.portrait, False)), motion


def resized(picture: Tensor, size: int) -> Tensor:
    """Resize [B, C, S, S] to another size."""
    if picture.shape[-1] == size:
        return picture
    if picture.shape[-1] > size:
        return F.avg_pool2d(picture, picture.shape[-1] // size)
    return F.interpolate(picture, size=(size, size), mode="bilinear", align_corners=False)


def finer(drawn: Tensor) -> Tensor:
    """Resize drawn maps to the network's resolution, [B, CONDITIONS, SIZE, SIZE]."""
    return F.interpolate(drawn, size=(SIZE, SIZE), mode="bilinear", align_corners=False)


def pooled(painted: Tensor, size: int) -> Tensor:
    """Average the painted window down to the resolution of pictures of `size` pixels."""
    times = PAINTED // size
    return painted if times == 1 else F.avg_pool2d(painted, times)
