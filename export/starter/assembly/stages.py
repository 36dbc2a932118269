"""Modules to export for the starter family: motion, appearance, render in three parts, and paint in three.

Render computes the flow of a picture; paint computes the layer of one of its windows, the eyes' or the mouth's, so that
only changed windows are painted again. Both are split where precision changes: parts with coordinates (look, sample)
and the final pixels (layers) stay float32, as a bfloat16 coordinate is off by half a pixel; the networks between them
(refine, decode) may run in bfloat16. Values are passed between the parts by name. No graph outputs the whole picture,
so that the photo itself can be warped at the output's size; see `streamer.stages.drawing.photo_canvas`.
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
    sample,
)

WINDOW_HEIGHT, WINDOW_WIDTH = 80, 120  # pixels, multiples of 8
HEIGHT, WIDTH = WINDOW_HEIGHT * GRID // SIZE, WINDOW_WIDTH * GRID // SIZE  # of a window at the flow's resolution
FEATHER = 8  # pixels over which a painted window fades in
SMOOTHING = (0.2, 0.6, 0.2)  # weights of the previous, this and the next frame's expression


class DrivingKeypoints(nn.Module):
    """Compute keypoints from coefficients and the avatar's face model: linear units, neck rotation, perspective."""

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
    """Build rotation matrices [n, 3, 3] in picture space (y down) from pitch, yaw, roll [n, 3]; see `rig.rotation`."""
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
    """Encode the portrait and its condition maps to features, once per avatar."""

    def __init__(self, model: Generator) -> None:
        super().__init__()
        self.model = model

    def forward(self, portrait: Tensor, source_conditions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Returns features at 1/2, 1/4, 1/8 and both inputs concatenated, at full size and at 1/4."""
        features = self.model.appearance(portrait, source_conditions)
        source = torch.cat([portrait, source_conditions], 1)
        return features.half, features.quarter, features.eighth, source, F.avg_pool2d(source, 4)


class Look(nn.Module):
    """Compute the motion network's input: the picture warped by the keypoints alone."""

    def __init__(self, model: Generator) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, small: Tensor, source_keypoints: Tensor, driving_keypoints: Tensor, driving_conditions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the motion network's input and the prior of the flow."""
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
    """Complete the flow; a separate graph, since a frame without repainting needs nothing after it."""

    def forward(self, prior: Tensor, refined: Tensor) -> Tensor:
        """Returns the flow [1, 2, 64, 64]: source position of each place minus the place, in -1..1 coordinates."""
        return prior + refined[:, :2] * RESIDUAL_SCALE


class Sample(nn.Module):
    """Sample the inputs of a window's decoder along the flow."""

    def forward(
        self,
        source: Tensor,
        features_half: Tensor,
        features_quarter: Tensor,
        features_eighth: Tensor,
        window: Tensor,
        flow: Tensor,
        context: Tensor,
        refined: Tensor,
    ) -> tuple[Tensor, ...]:
        """window [1, 2]: (top, left) in pixels. Returns the decoder's inputs, except the driving conditions."""
        corner = torch.div(window[0], SIZE // GRID, rounding_mode="floor").to(torch.int64)
        grid = cut(correct(flow, refined), corner, HEIGHT, WIDTH, margin=1)
        inner = grid[:, :, 1:-1, 1:-1]

        def warp(image: Tensor, places: Tensor) -> Tensor:
            return sample(image, places[:, :2]) * places[:, 2:]

        return (
            warp(features_half, finer(grid, 2)),
            warp(features_quarter, inner),
            warp(features_eighth, F.avg_pool2d(inner, 2)),  # equals bilinear interpolation
            cut(context, corner, HEIGHT, WIDTH),
            sample(source, finer(grid[:, :2], SIZE // GRID)),
        )


class Decode(nn.Module):
    """The decoder on a window."""

    def __init__(self, model: Generator) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, half: Tensor, quarter: Tensor, eighth: Tensor, near: Tensor, picture: Tensor, conditions: Tensor
    ) -> Tensor:
        """near: the motion network's context; conditions: the driving condition maps in the window.

        Returns painted logits [1, 4, FINE h, FINE w].
        """
        return self.model.decode(Features(half, quarter, eighth), near, picture, conditions)


class Layers(nn.Module):
    """The painted window as a layer over the warped picture that fades out towards its edges."""

    feather: Tensor

    def __init__(self) -> None:
        super().__init__()
        ramps = [_ramp(length * FINE) for length in (WINDOW_HEIGHT, WINDOW_WIDTH)]
        self.register_buffer("feather", (ramps[0][:, None] * ramps[1][None])[None, None])

    def forward(self, painted: Tensor) -> Tensor:
        """Returns [1, FINE h, FINE w, 4]: premultiplied colour and alpha, in 0..1."""
        alpha = torch.sigmoid(painted[:, 3:] - 1) * self.feather
        return torch.cat([torch.sigmoid(painted[:, :3]) * alpha, alpha], 1).permute(0, 2, 3, 1)


def cut(x: Tensor, corner: Tensor, height: int, width: int, margin: int = 0) -> Tensor:
    """Cut [1, C, h + 2 margin, w + 2 margin] around the part of [1, C, H, W] at corner (top, left), int64 [2]; beyond
    the edge, the border's values are repeated."""
    rows, columns = (
        (corner[k] + torch.arange(-margin, (height, width)[k] + margin)).clamp(0, x.shape[2 + k] - 1) for k in range(2)
    )
    return x.index_select(2, rows).index_select(3, columns)


def finer(part: Tensor, times: int) -> Tensor:
    """Interpolate a part cut with a margin of 1 to `times` the resolution, and remove the margin."""
    made = F.interpolate(part, scale_factor=float(times), mode="bilinear", align_corners=False)
    return made[:, :, times:-times, times:-times]


def _ramp(length: int) -> Tensor:
    distance = torch.minimum(torch.arange(length), torch.arange(length - 1, -1, -1))
    return ((distance + 0.5) / (FEATHER * FINE)).clamp(0, 1)


assert SIZE // GRID == 4, "small inputs are pooled by four"
