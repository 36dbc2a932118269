"""The starter's pose network: a conditional variational autoencoder of blocks of head motion, causal in the sound.

Like SadTalker's PoseVAE (arXiv 2211.12194), it computes 32 frames at a time from audio features, a style and a latent
variable. Unlike there, a frame depends only on the sound up to its own window, so that a block can be shown while it is
spoken, and on the last frames shown before the block, which continues them in value and speed.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.files import replacing
from export.starter.motion.process import STYLES
from export.starter.training.expression_net import WINDOW
from streamer.core.rates import MEL_BANDS

BLOCK = 32  # frames computed at once
HEARD = 64  # frames whose windows are read: a block's, and as many before
PAST = 8  # frames of motion that a block continues
POSE = 6
LATENT = 16
BANDS, SLOTS = 20, 4  # a window's last 16 mel frames are pooled: 4 bands and 4 frames (50 ms) to one value
SCALE = (3.0, 4.0, 2.0, 0.008, 0.006, 0.008)  # about a standard deviation of each value: degrees, half picture widths
LIMITS = (8.0, 10.0, 6.0, 0.05, 0.04, 0.05)  # bounds of a pose; see `streamer.stages.life.idle_pose`
# Weight of the prediction without latent variable, added once more to pitch (guidance as of Ho and Salimans 2022,
# arXiv 2207.12598): nods from the latent variable alone are not synchronised with the sound.
GUIDANCE = (1.5, 0.0, 0.0, 0.0, 0.0, 0.0)
COAST = 3.0  # frames: time constant with which the earlier motion continues at a block's start
JOIN = 9  # frames until a block follows the network's output alone
HIDDEN, PLAN, CODE = 32, 16, 64


def pooled(windows: Tensor) -> Tensor:
    """Pool mel windows [n, 1, MEL_BANDS, WINDOW] to [n, BANDS * SLOTS], -1..1."""
    recent = windows[:, 0, :, WINDOW - 4 * SLOTS :]
    return recent.reshape(-1, BANDS, MEL_BANDS // BANDS, SLOTS, 4).mean((2, 4)).flatten(1) / 4


class Causal(nn.Module):
    """A residual convolution over frames [n, C, t] that reads only past frames."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.reach = 2 * dilation
        self.wide = nn.Conv1d(channels, channels, 3, dilation=dilation)
        self.mix = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[n, C, t] -> [n, C, t]."""
        return x + self.mix(F.silu(self.wide(F.pad(x, (self.reach, 0)))))


class Ear(nn.Module):
    """Network from pooled mel [n, t, BANDS * SLOTS] to audio features of all frames but the first HEARD - BLOCK.

    A feature depends on 31 frames, so those of several consecutive blocks may be computed at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv1d(BANDS * SLOTS, HIDDEN, 1)
        self.layers = nn.Sequential(*(Causal(HIDDEN, 2**k) for k in range(4)))

    def forward(self, heard: Tensor) -> Tensor:
        """[n, t, BANDS * SLOTS] -> [n, HIDDEN, t - (HEARD - BLOCK)]."""
        features: Tensor = self.layers(F.silu(self.enter(heard.transpose(1, 2))))
        return features[:, :, HEARD - BLOCK :]


class Encoder(nn.Module):
    """Encoder, for training: the latent variable's mean and log variance from a block of motion and its context."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv1d(POSE + HIDDEN, HIDDEN, 3, padding=1)
        self.halve = nn.Sequential(
            *(nn.Sequential(nn.SiLU(), nn.Conv1d(HIDDEN, HIDDEN, 4, stride=2, padding=1)) for _ in range(3))
        )
        self.known = nn.Linear(CODE, HIDDEN)
        self.leave = nn.Sequential(nn.SiLU(), nn.Linear(HIDDEN * (BLOCK // 8 + 1), CODE), nn.SiLU())
        self.mean, self.log_variance = nn.Linear(CODE, LATENT), nn.Linear(CODE, LATENT)

    def forward(self, motion: Tensor, features: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """motion [n, BLOCK, POSE], scaled; features of `Ear`; known [n, CODE] -> mean, log variance [n, LATENT]."""
        x = self.halve(self.enter(torch.cat([motion.transpose(1, 2), features], 1)))
        code = self.leave(torch.cat([x.flatten(1), self.known(known)], 1))
        return self.mean(code), self.log_variance(code).clamp(-8, 4)


class Decoder(nn.Module):
    """Decoder: computes a plan of the block from context and latent variable, then motion from plan and sound."""

    def __init__(self) -> None:
        super().__init__()
        self.plan = nn.Sequential(nn.Linear(LATENT + CODE, 2 * CODE), nn.SiLU(), nn.Linear(2 * CODE, PLAN * BLOCK))
        self.enter = nn.Conv1d(PLAN + HIDDEN, HIDDEN, 1)
        self.layers = nn.Sequential(*(Causal(HIDDEN, 2**k) for k in range(3)))
        self.leave = nn.Conv1d(HIDDEN, POSE, 1)

    def forward(self, latent: Tensor, features: Tensor, known: Tensor) -> Tensor:
        """Returns scaled motion [n, BLOCK, POSE]."""
        plan = self.plan(torch.cat([latent, known], 1)).reshape(-1, PLAN, BLOCK)
        x = self.layers(self.enter(torch.cat([plan, features], 1)))
        motion: Tensor = self.leave(F.silu(x))
        return motion.transpose(1, 2)


class PoseNet(nn.Module):
    """Encoder and decoder. Motion inside is scaled by SCALE; `forward` is exported, in degrees and half picture widths.

    gain, bias: calibration of the output, by style and value, [STYLES, POSE]; see `train_pose.calibrate`.
    """

    scale: Tensor
    bound: Tensor
    guidance: Tensor
    gain: Tensor
    bias: Tensor
    coast: Tensor
    join: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.ear, self.encoder, self.decoder = Ear(), Encoder(), Decoder()
        self.style = nn.Linear(STYLES, CODE // 2, bias=False)
        self.before = nn.Linear(PAST * POSE, CODE // 2)
        self.register_buffer("guidance", torch.tensor(GUIDANCE), persistent=False)
        self.register_buffer("gain", torch.ones(STYLES, POSE), persistent=False)
        self.register_buffer("bias", torch.zeros(STYLES, POSE), persistent=False)
        frames = torch.arange(1, BLOCK + 1)
        self.register_buffer("scale", torch.tensor(SCALE))
        self.register_buffer("bound", torch.tensor(LIMITS) / self.scale)
        self.register_buffer("coast", (COAST * (1 - torch.exp(-frames / COAST)))[:, None])
        share = (frames / JOIN).clamp(max=1)
        self.register_buffer("join", (share**2 * (3 - 2 * share))[:, None])

    def known(self, style: Tensor, past: Tensor) -> Tensor:
        """Encode a block's context: style [n, STYLES], past motion [n, PAST, POSE], scaled -> [n, CODE]."""
        return torch.cat([self.style(style), self.before(past.flatten(1))], 1)

    def decode(self, latent: Tensor, features: Tensor, known: Tensor, past: Tensor) -> Tensor:
        """Compute scaled motion [n, BLOCK, POSE] that continues `past` [n, PAST, POSE] in value and speed."""
        return self._joined(self.decoder(latent, features, known), past)

    def guided(self, latent: Tensor, features: Tensor, known: Tensor, past: Tensor) -> Tensor:
        """Like `decode`, but following the sound more closely (GUIDANCE)."""
        drawn, heard = (self.decoder(z, features, known) for z in (latent, torch.zeros_like(latent)))
        return self._joined(drawn + self.guidance * heard, past)

    def _joined(self, made: Tensor, past: Tensor) -> Tensor:
        own = self.bound * torch.tanh(made / self.bound)
        last, speed = past[:, -1:], past[:, -1:] - past[:, -2:-1]
        return (1 - self.join) * (last + speed * self.coast) + self.join * own

    def forward(self, mel: Tensor, noise: Tensor, style: Tensor, past: Tensor) -> Tensor:
        """mel [HEARD, 1, MEL_BANDS, WINDOW], noise [1, LATENT], style [1, STYLES], past [PAST, POSE] -> [BLOCK, POSE].

        Any placeholder may stand for windows that are not known yet: it does not affect earlier frames.
        """
        features = self.ear(pooled(mel)[None])
        gain, bias = style @ self.gain * self.scale, style @ self.bias
        before = ((past - bias) / gain)[None]
        made = self.guided(noise, features, self.known(style, before), before)
        return made.reshape(BLOCK, POSE) * gain + bias


def export_pose(net: PoseNet, path: Path) -> None:
    """Write the ONNX graph (opset 17, float32) atomically."""
    net.eval()
    inputs = (
        torch.zeros(HEARD, 1, MEL_BANDS, WINDOW),
        torch.zeros(1, LATENT),
        torch.zeros(1, STYLES),
        torch.zeros(PAST, POSE),
    )
    names = ["mel", "noise", "style", "past"]
    with replacing(path) as partial:
        torch.onnx.export(
            net, inputs, str(partial), input_names=names, output_names=["residual"], opset_version=17, dynamo=False
        )
