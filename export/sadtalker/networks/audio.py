"""The audio encoder, and ExpNet, which turns its features into expression coefficients."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.sadtalker.networks.layers import scaled

EXPRESSION = 64  # coefficients
AUDIO_FEATURES = 512  # of the encoder, at width 1


class _Layer(NamedTuple):
    outputs: int
    kernel: int
    stride: int | tuple[int, int]
    padding: int
    residual: bool = False


def _residual(channels: int) -> _Layer:
    return _Layer(channels, 3, 1, 1, residual=True)


# A mel window of 80 x 16 shrinks to 27 x 16, 9 x 6, 3 x 3 and 1 x 1.
_LAYERS = (
    _Layer(32, 3, 1, 1),
    _residual(32),
    _residual(32),
    _Layer(64, 3, (3, 1), 1),
    _residual(64),
    _residual(64),
    _Layer(128, 3, 3, 1),
    _residual(128),
    _residual(128),
    _Layer(256, 3, (3, 2), 1),
    _residual(256),
    _Layer(512, 3, 1, 0),
    _Layer(AUDIO_FEATURES, 1, 1, 0),
)


class _Block(nn.Module):
    """Convolution and batch norm, the input added where it is residual, ReLU."""

    def __init__(self, inputs: int, outputs: int, layer: _Layer) -> None:
        super().__init__()
        conv = nn.Conv2d(inputs, outputs, layer.kernel, layer.stride, layer.padding)
        self.conv_block = nn.Sequential(conv, nn.BatchNorm2d(outputs))
        self.residual = layer.residual

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv_block(x)
        return F.relu(y + x if self.residual else y)


def audio_encoder(width: float = 1.0) -> nn.Sequential:
    """Build Wav2Lip's encoder (arXiv 2008.10010): mel [n, 1, 80, 16] -> features [n, AUDIO_FEATURES * width, 1, 1]."""
    blocks, inputs = [], 1
    for layer in _LAYERS:
        outputs = scaled(layer.outputs, width)
        blocks.append(_Block(inputs, outputs, layer))
        inputs = outputs
    return nn.Sequential(*blocks)


class ExpNet(nn.Module):
    """Expression coefficients of each frame from its mel window, the portrait's expression and a blink ratio."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.audio_encoder = audio_encoder(width)
        self.mapping1 = nn.Linear(scaled(AUDIO_FEATURES, width) + EXPRESSION + 1, EXPRESSION)
        self.eval()

    def forward(self, mel: Tensor, reference: Tensor, blink: Tensor) -> Tensor:
        """mel [n, 1, 80, 16], reference [n or 1, 64], blink [n, 1] in 0..1 -> expression [n, 64].

        Frames do not depend on each other.
        """
        heard = self.audio_encoder(mel).flatten(1)
        reference = reference.expand(heard.shape[0], EXPRESSION)
        return self.mapping1(torch.cat([heard, reference, blink], 1))
