"""The starter family's stages as graphs: motion, appearance, and render in five parts.

Render is cut where precision changes: what has coordinates in it (look, sample) and what makes the final pixels
(layers) stays float32, as a bfloat16 coordinate is off by half a pixel; the networks between them (refine, decode) may
run in bfloat16. Values flow between the parts by name. The graphs give no picture but its flow and painted windows, so
that the photo itself can be warped at the size of the output; see `streamer.stages.photo_canvas`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.starter.training.generator import (
    FINE,
    GRID,
    RESIDUAL_SCALE,
    SIZE,
    Features,
    Generator,
    correct,
    resize,
    sample,
)

WINDOWS = 2  # the eyes and the mouth
WINDOW_HEIGHT, WINDOW_WIDTH = 80, 120  # pixels, multiples of 8
FEATHER = 8  # pixels over which a window's painting fades in
SMOOTHING = (0.2, 0.6, 0.2)  # over the previous, this and the next frame's expression


class DrivingKeypoints(nn.Module):
    """Coefficients and an avatar's own face model to keypoints: linear units, a turn about the neck, perspective."""

    weights: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor(SMOOTHING))

    def forward(
        self, coefficients: Tensor, neutral: Tensor, basis: Tensor, rigidity: Tensor, pivot: Tensor, distance: Tensor
    ) -> Tensor:
        """coefficients [n, U + 6, 3], neutral [K, 3], basis [U, K, 3], rigidity [K], pivot [3], distance [1].

        Returns keypoints [n, K, 3] in picture space. `distance` is the camera's, in half picture widths.
        """
        units = basis.shape[0]
        expression = (coefficients[:, :units] * self.weights).sum(2)
        pose = coefficients[:, units:, 1]
        points = neutral + torch.einsum("nu,ukc->nkc", expression, basis)
        turned = (points - pivot) @ head_rotation(pose[:, :3]).transpose(1, 2) + pivot + pose[:, None, 3:]
        mix = rigidity[:, None]
        moved = points * (1 - mix) + turned * mix
        near = 1 / (1 - moved[..., 2:] / distance)
        return torch.cat([moved[..., :2] * near, moved[..., 2:]], 2)


def head_rotation(degrees: Tensor) -> Tensor:
    """[n, 3] of pitch, yaw, roll to matrices [n, 3, 3] in picture space (y down); see `rig.rotation`."""
    pitch, yaw, roll = (degrees * (torch.pi / 180)).unbind(1)
    cp, sp, cy, sy, cr, sr = pitch.cos(), pitch.sin(), yaw.cos(), yaw.sin(), roll.cos(), roll.sin()
    one, zero = torch.ones_like(cp), torch.zeros_like(cp)

    def matrix(*rows: Tensor) -> Tensor:
        return torch.stack(rows, 1).reshape(-1, 3, 3)

    about_y = matrix(cy, zero, sy, zero, one, zero, -sy, zero, cy)
    about_x = matrix(one, zero, zero, zero, cp, sp, zero, -sp, cp)
    about_z = matrix(cr, -sr, zero, sr, cr, zero, zero, zero, one)
    return about_y @ about_x @ about_z


class Appearance(nn.Module):
    """Portrait and its condition maps to features, once per avatar."""

    def __init__(self, model: Generator) -> None:
        super().__init__()
        self.model = model

    def forward(self, portrait: Tensor, source_conditions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Returns features at 1/2, 1/4, 1/8 and both inputs together at 1/4."""
        features = self.model.appearance(portrait, source_conditions)
        small = F.avg_pool2d(torch.cat([portrait, source_conditions], 1), 4)
        return features.half, features.quarter, features.eighth, small


class Look(nn.Module):
    """What the motion network is shown: the picture carried along by the keypoints alone."""

    def __init__(self, model: Generator) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, small: Tensor, source_keypoints: Tensor, driving_keypoints: Tensor, driving_conditions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns what is seen and the prior of the flow."""
        return self.model.look(small, F.avg_pool2d(driving_conditions, 4), source_keypoints, driving_keypoints)


class Refine(nn.Module):
    """The motion network."""

    def __init__(self, model: Generator) -> None:
        super().__init__()
        self.model = model

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the decoder's context and the corrections of flow and occlusion."""
        return self.model.refine(seen)


class Flow(nn.Module):
    """Complete the flow: a graph of its own, as a picture whose windows are not painted anew needs no more."""

    def forward(self, prior: Tensor, refined: Tensor) -> Tensor:
        """Returns the flow [1, 2, 64, 64]: where each place comes from, less the place itself, in -1..1."""
        return prior + refined[:, :2] * RESIDUAL_SCALE


class Sample(nn.Module):
    """Sample along the flow what the decoder paints the windows from."""

    def forward(
        self,
        portrait: Tensor,
        source_conditions: Tensor,
        features_half: Tensor,
        features_quarter: Tensor,
        features_eighth: Tensor,
        driving_conditions: Tensor,
        windows: Tensor,
        flow: Tensor,
        context: Tensor,
        refined: Tensor,
    ) -> tuple[Tensor, ...]:
        """windows [2, 2]: (top, left) in pixels. Returns the decoder's inputs of each window."""
        motion = correct(flow, refined)

        def warp(image: Tensor) -> Tensor:
            grid = cut(resize(motion, image.shape[-1]), windows)
            return sample(image.expand(WINDOWS, -1, -1, -1), grid[:, :2]) * grid[:, 2:]

        places = cut(resize(motion[:, :2], SIZE), windows)
        both = torch.cat([portrait, source_conditions], 1).expand(WINDOWS, -1, -1, -1)
        return (
            warp(features_half),
            warp(features_quarter),
            warp(features_eighth),
            cut(context, windows),
            sample(both, places),
            cut(driving_conditions, windows),
        )


class Decode(nn.Module):
    """The decoder on the windows."""

    def __init__(self, model: Generator) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, half: Tensor, quarter: Tensor, eighth: Tensor, near: Tensor, pictures: Tensor, conditions: Tensor
    ) -> Tensor:
        """`near` is the motion network's context. Returns painted logits [2, 4, FINE h, FINE w]."""
        return self.model.decode(Features(half, quarter, eighth), near, pictures, conditions)


class Layers(nn.Module):
    """The painted windows as layers that lie over the warped picture and fade out towards their edges."""

    feather: Tensor

    def __init__(self) -> None:
        super().__init__()
        ramps = [_ramp(length * FINE) for length in (WINDOW_HEIGHT, WINDOW_WIDTH)]
        self.register_buffer("feather", (ramps[0][:, None] * ramps[1][None])[None, None])

    def forward(self, painted: Tensor) -> Tensor:
        """Returns [2, FINE h, FINE w, 4]: colour, multiplied by its alpha, and alpha, in 0..1."""
        alpha = torch.sigmoid(painted[:, 3:] - 1) * self.feather
        return torch.cat([torch.sigmoid(painted[:, :3]) * alpha, alpha], 1).permute(0, 2, 3, 1)


def cut(x: Tensor, windows: Tensor) -> Tensor:
    """Cut every window of [1, C, n, n] (n pixels across the whole picture) to [2, C, h, w]."""
    scale = SIZE // x.shape[-1]
    height, width = WINDOW_HEIGHT // scale, WINDOW_WIDTH // scale
    parts = []
    for k in range(WINDOWS):
        corner = torch.div(windows[k], scale, rounding_mode="floor").to(torch.int64)
        rows, columns = corner[0] + torch.arange(height), corner[1] + torch.arange(width)
        parts.append(x[0].index_select(1, rows).index_select(2, columns))
    return torch.stack(parts)


def _ramp(length: int) -> Tensor:
    distance = torch.minimum(torch.arange(length), torch.arange(length - 1, -1, -1))
    return ((distance + 0.5) / (FEATHER * FINE)).clamp(0, 1)


assert SIZE // GRID == 4, "small inputs are pooled by four"
