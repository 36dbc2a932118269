"""mappingNet: map 27 frames of coefficients to the middle frame's motion, and apply it to keypoints."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.sadtalker.networks.layers import scaled

KEYPOINTS = 15
BINS = 66
BIN_DEGREES, FIRST_BIN_DEGREES = 3.0, -99.0
PI = 3.14  # the value used in training
SLOPE = 0.1
DILATION = 3
LAYERS = 3


class Motion(NamedTuple):
    """Output of mappingNet: logits of angle bins [n, 66] each, translation [n, 3], deformation [n, 45]."""

    yaw: Tensor
    pitch: Tensor
    roll: Tensor
    t: Tensor
    exp: Tensor


class MappingNet(nn.Module):
    """Facial motion from a window of coefficients. coefficients: 70, or 73 with the crop (full modes)."""

    def __init__(self, coefficients: int = 70, width: float = 1.0) -> None:
        super().__init__()
        channels = scaled(1024, width)
        self.first = nn.Sequential(nn.Conv1d(coefficients, channels, 7))
        for layer in range(LAYERS):
            conv = nn.Conv1d(channels, channels, 3, dilation=DILATION)
            self.add_module(f"encoder{layer}", nn.Sequential(nn.LeakyReLU(SLOPE), conv))
        self.fc_roll = nn.Linear(channels, BINS)
        self.fc_pitch = nn.Linear(channels, BINS)
        self.fc_yaw = nn.Linear(channels, BINS)
        self.fc_t = nn.Linear(channels, 3)
        self.fc_exp = nn.Linear(channels, 3 * KEYPOINTS)
        self.eval()

    def forward(self, coefficients: Tensor) -> Motion:
        """[n, C, 27] -> the motion of each window's middle frame."""
        x = self.first(coefficients)
        for layer in range(LAYERS):
            x = self.get_submodule(f"encoder{layer}")(x) + x[..., DILATION:-DILATION]
        x = F.adaptive_avg_pool1d(x, 1).flatten(1)
        return Motion(self.fc_yaw(x), self.fc_pitch(x), self.fc_roll(x), self.fc_t(x), self.fc_exp(x))


def degrees(logits: Tensor) -> Tensor:
    """Return the expected angle [n] in degrees from logits of angle bins [n, 66]."""
    index = torch.arange(BINS, dtype=logits.dtype, device=logits.device)
    return (F.softmax(logits, 1) * index).sum(1) * BIN_DEGREES + FIRST_BIN_DEGREES


def rotation(yaw: Tensor, pitch: Tensor, roll: Tensor) -> Tensor:
    """Build rotation matrices Rx(pitch) Ry(yaw) Rz(roll), [n, 3, 3], from angles [n] in degrees."""
    one, zero = torch.ones_like(yaw), torch.zeros_like(yaw)
    angles = [angle / 180.0 * PI for angle in (pitch, yaw, roll)]
    (cx, sx), (cy, sy), (cz, sz) = ((angle.cos(), angle.sin()) for angle in angles)
    about_x = torch.stack([one, zero, zero, zero, cx, -sx, zero, sx, cx], 1).reshape(-1, 3, 3)
    about_y = torch.stack([cy, zero, sy, zero, one, zero, -sy, zero, cy], 1).reshape(-1, 3, 3)
    about_z = torch.stack([cz, -sz, zero, sz, cz, zero, zero, zero, one], 1).reshape(-1, 3, 3)
    return about_x @ about_y @ about_z


def move_keypoints(canonical: Tensor, motion: Motion, view: Tensor | None = None, on: Tensor | None = None) -> Tensor:
    """Move keypoints: R canonical + t + deformation for each frame, [1 or n, 15, 3] -> [n, 15, 3].

    Only the vertical part of the translation is used. view: yaw, pitch and roll in degrees [n, 3] that replace the
    motion's angles where `on` [n, 3] is 1.
    """
    angles = torch.stack([degrees(motion.yaw), degrees(motion.pitch), degrees(motion.roll)], 1)
    if view is not None and on is not None:
        angles = torch.where(on > 0.5, view, angles)
    turned = canonical @ rotation(*angles.unbind(1)).transpose(1, 2)
    lift = motion.t * torch.tensor([0.0, 1.0, 0.0], dtype=motion.t.dtype, device=motion.t.device)
    return turned + lift[:, None] + motion.exp.reshape(-1, KEYPOINTS, 3)
