"""PoseVAE: head motion for 32 frames of speech, drawn from a latent variable and a style.

Only the audio encoder and the CVAE's decoder are used. The encoder and the discriminator are for training; they are
defined so that a checkpoint loads without unexpected keys.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from export.sadtalker.networks.audio import AUDIO_FEATURES, audio_encoder
from export.sadtalker.networks.layers import scaled

BLOCK = 32  # frames computed at once
POSE = 6  # three angles in radians, three translations
LATENT = 64
STYLES = 46
HIDDEN = 128


class PoseVAE(nn.Module):
    """Pose relative to the portrait's, from mel windows, a latent variable and a one-hot style."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.audio_encoder = nn.ModuleDict({"audio_encoder": audio_encoder(width)})
        self.netG = nn.ModuleDict({"encoder": _Encoder(width), "decoder": _Decoder(width)})
        self.netD_motion = nn.ModuleDict({"seq": _discriminator(width)})
        self.eval()

    def embed(self, mel: Tensor) -> Tensor:
        """Compute audio features of mel windows, [n, 1, 80, 16] -> [n, 512]."""
        return self.audio_encoder["audio_encoder"](mel).flatten(1)

    def decode(self, embedding: Tensor, reference: Tensor, latent: Tensor, style: Tensor) -> Tensor:
        """embedding [32, 512], reference [1, 6], latent [1, 64], style [1, 46] one-hot -> residual [32, 6]."""
        return self.netG["decoder"](embedding, reference, latent, style)

    def forward(self, mel: Tensor, reference: Tensor, latent: Tensor, style: Tensor) -> Tensor:
        """mel [32, 1, 80, 16], reference pose [1, 6], latent [1, 64], style [1, 46] one-hot -> residual [32, 6]."""
        return self.decode(self.embed(mel), reference, latent, style)


class _Decoder(nn.Module):
    def __init__(self, width: float) -> None:
        super().__init__()
        self.classbias = nn.Parameter(torch.zeros(STYLES, LATENT))
        self.resunet = ResUnet(width)
        hidden = scaled(HIDDEN, width)
        first = nn.Linear(POSE + LATENT + BLOCK * POSE, hidden)
        self.MLP = nn.Sequential(
            OrderedDict(L0=first, A0=nn.ReLU(), L1=nn.Linear(hidden, BLOCK * POSE), sigmoid=nn.Sigmoid())
        )
        self.pose_linear = nn.Linear(POSE, POSE)
        self.linear_audio = nn.Linear(scaled(AUDIO_FEATURES, width), POSE)

    def forward(self, embedding: Tensor, reference: Tensor, latent: Tensor, style: Tensor) -> Tensor:
        heard = self.linear_audio(embedding).reshape(1, BLOCK * POSE)
        known = torch.cat([reference, latent + style @ self.classbias, heard], 1)
        rough = self.MLP(known).reshape(1, 1, BLOCK, POSE)
        return self.pose_linear(self.resunet(rough)[0, 0])


class _Encoder(nn.Module):
    """The CVAE's encoder: weights without a forward pass."""

    def __init__(self, width: float) -> None:
        super().__init__()
        self.classbias = nn.Parameter(torch.zeros(STYLES, LATENT))
        self.resunet = ResUnet(width)
        hidden = scaled(HIDDEN, width)
        known = 2 * BLOCK * POSE + POSE + LATENT
        self.MLP = nn.ModuleDict({"L0": nn.Linear(known, hidden)})
        self.linear_means = nn.Linear(hidden, LATENT)
        self.linear_logvar = nn.Linear(hidden, LATENT)
        self.linear_audio = nn.Linear(scaled(AUDIO_FEATURES, width), POSE)


def _discriminator(width: float) -> nn.ModuleList:
    """Build the motion discriminator of training: weights without a forward pass."""
    blocks: list[nn.Module] = []
    inputs = POSE
    for outputs, kernel in ((256, 4), (512, 4), (1024, 3)):
        channels = scaled(outputs, width)
        conv = nn.Conv1d(inputs, channels, kernel, bias=False)
        blocks.append(nn.ModuleDict({"conv": conv, "norm": nn.BatchNorm1d(channels)}))
        inputs = channels
    return nn.ModuleList([*blocks, nn.Conv1d(inputs, 1, 3)])


class ResUnet(nn.Module):
    """A residual U-Net over one plane of frames x coefficients, halved in frames only (arXiv 1711.10684)."""

    def __init__(self, width: float) -> None:
        super().__init__()
        a, b, c, d = (scaled(channels, width) for channels in (32, 64, 128, 256))
        self.input_layer = nn.Sequential(_conv(1, a), nn.BatchNorm2d(a), nn.ReLU(), _conv(a, a))
        self.input_skip = nn.Sequential(_conv(1, a))
        self.residual_conv_1 = _Residual(a, b, halve=True)
        self.residual_conv_2 = _Residual(b, c, halve=True)
        self.bridge = _Residual(c, d, halve=True)
        self.upsample_1, self.up_residual_conv1 = _Double(d), _Residual(d + c, c)
        self.upsample_2, self.up_residual_conv2 = _Double(c), _Residual(c + b, b)
        self.upsample_3, self.up_residual_conv3 = _Double(b), _Residual(b + a, a)
        self.output_layer = nn.Sequential(nn.Conv2d(a, 1, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """[1, 1, frames, coefficients] -> the same shape, in 0..1; frames a multiple of 8."""
        whole = self.input_layer(x) + self.input_skip(x)
        half = self.residual_conv_1(whole)
        quarter = self.residual_conv_2(half)
        y = self.upsample_1(self.bridge(quarter))
        y = self.upsample_2(self.up_residual_conv1(torch.cat([y, quarter], 1)))
        y = self.upsample_3(self.up_residual_conv2(torch.cat([y, half], 1)))
        return self.output_layer(self.up_residual_conv3(torch.cat([y, whole], 1)))


def _conv(inputs: int, outputs: int, halve: bool = False) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=(2, 1) if halve else 1, padding=1)


class _Residual(nn.Module):
    """Twice batch norm, ReLU, convolution; added to a convolved input."""

    def __init__(self, inputs: int, outputs: int, halve: bool = False) -> None:
        super().__init__()
        enter = (nn.BatchNorm2d(inputs), nn.ReLU(), _conv(inputs, outputs, halve))
        self.conv_block = nn.Sequential(*enter, nn.BatchNorm2d(outputs), nn.ReLU(), _conv(outputs, outputs))
        self.conv_skip = nn.Sequential(_conv(inputs, outputs, halve), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_block(x) + self.conv_skip(x)


class _Double(nn.Module):
    """Learnt upsampling by two in frames."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.upsample = nn.ConvTranspose2d(channels, channels, (2, 1), stride=(2, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.upsample(x)
