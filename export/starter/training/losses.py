"""Losses of the generator: picture (mouth and eyes weighted), edges, flow, and an adversarial term for teeth."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.starter.rendering import points
from export.starter.rendering.parts import PART_NUMBERS
from export.starter.training.batches import WINDOW, Batch
from export.starter.training.generator import FINE, SIZE, Motion, Painting, window_grid

FACE_WEIGHT = 7.0  # extra weight of a pixel at the middle of a mouth or an eye
FLOW_WEIGHT = 6.0
EDGE_WEIGHT = 1.5
MARGIN = 3 * FINE  # pixels at a window's border, affected by padding
FLOW_WEIGHTS = {0: 0.5, PART_NUMBERS["skin"]: 4.0, PART_NUMBERS["shirt"]: 1.5, PART_NUMBERS["hair"]: 1.5}
CRITIC_PATCH = 64 * FINE
CRITIC_SCALES = 3


def face_weights(batch: Batch) -> tuple[Tensor, Tensor]:
    """Make soft masks of mouth and eyes in the window, [B, 1, FINE h, FINE w] in 0..1."""
    places = _window_places(batch) * (SIZE / 2)  # in pixels of the network's picture
    x, y = (places[..., k][:, None] for k in range(2))
    keypoints = batch.target_points * (SIZE / 2)

    def blob(outline: tuple[int, ...], first: int, last: int) -> Tensor:
        middle = keypoints[:, list(outline)].mean(1)[:, :, None, None, None]
        width = (keypoints[:, first] - keypoints[:, last]).norm(dim=-1)[:, None, None, None].clamp(8, 60)
        distance = ((x - middle[:, 0]) / width / 0.75).square() + ((y - middle[:, 1]) / width / 0.75).square()
        return torch.exp(-distance.square())

    mouth = blob(points.INNER_LIPS, 61, 291)
    eyes = blob(points.RIGHT_EYE, 33, 133) + blob(points.LEFT_EYE, 263, 362)
    return mouth, eyes.clamp(max=1)


def flow_weights(batch: Batch) -> Tensor:
    """Compute weights of the flow error, [B, 1, 64, 64]: surfaces visible in both pictures, and the background."""
    weights = torch.zeros_like(batch.parts, dtype=torch.float32)
    for part, weight in FLOW_WEIGHTS.items():
        weights = weights + weight * (batch.parts == part)
    return weights * batch.has_flow[:, None, None, None]


def _window_places(batch: Batch) -> Tensor:
    return window_grid(batch.windows, (WINDOW, WINDOW), FINE * SIZE, batch.source.device)


def losses(painting: Painting, motion: Motion, target: Tensor, batch: Batch) -> dict[str, Tensor]:
    """Compute the loss terms (to be summed) and, under names starting with '-', errors for monitoring."""
    mouth, eyes = face_weights(batch)
    inner = torch.zeros_like(mouth)
    inner[:, :, MARGIN:-MARGIN, MARGIN:-MARGIN] = 1
    weight = (1 + FACE_WEIGHT * (mouth + eyes)) * inner
    error = painting.picture - target
    trusted = flow_weights(batch)
    movable = F.grid_sample((trusted > 0).float(), _window_places(batch), mode="nearest", align_corners=False)
    half, half_weight = F.avg_pool2d(error, FINE), F.avg_pool2d(weight, FINE)
    return {
        "picture": (error.abs() * weight).mean(),
        "coarse": (F.avg_pool2d(half, 4).abs() * F.avg_pool2d(half_weight, 4)).mean(),
        "edges": EDGE_WEIGHT * (edges(half, half_weight) + edges(error, weight)) / 2,
        "warp": ((painting.warped - target).abs() * movable * (1 - mouth)).mean(),
        "flow": FLOW_WEIGHT * ((motion.flow - batch.flow).abs() * trusted).sum() / (2 * trusted.sum() + 1),
        "-mouth": (error.abs() * mouth).sum() / (3 * mouth.sum() + 1),
        "-eyes": (error.abs() * eyes).sum() / (3 * eyes.sum() + 1),
        "-alpha": (painting.alpha * mouth).sum() / (mouth.sum() + 1),
    }


def edges(error: Tensor, weight: Tensor) -> Tensor:
    """Return the mean weighted difference between neighbours of an error [B, C, h, w], across and down."""
    across = (error[..., 1:] - error[..., :-1]).abs() * weight[..., 1:]
    down = (error[..., 1:, :] - error[..., :-1, :]).abs() * weight[..., 1:, :]
    return across.mean() + down.mean()


class PatchCritic(nn.Module):
    """Patch discriminator of a mouth or an eye, conditioned on the condition maps (pix2pix, Isola et al., 2017)."""

    def __init__(self, conditions: int) -> None:
        super().__init__()
        norm = nn.utils.parametrizations.spectral_norm
        self.layers = nn.ModuleList()
        for inputs, outputs, stride in ((3 + conditions, 48, 2), (48, 96, 2), (96, 128, 1)):
            self.layers.append(nn.Sequential(norm(nn.Conv2d(inputs, outputs, 4, stride, 1)), nn.LeakyReLU(0.2)))
        self.layers.append(norm(nn.Conv2d(128, 1, 3, 1, 1)))

    def forward(self, picture: Tensor, conditions: Tensor) -> list[Tensor]:
        """Return features of every layer, the patch scores last; pictures in 0..1."""
        x = torch.cat([picture * 2 - 1, conditions], 1)
        features = []
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        return features


class Critic(nn.Module):
    """Multi-scale patch discriminators (pix2pixHD, Wang et al., 2018)."""

    def __init__(self, conditions: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList([PatchCritic(conditions) for _ in range(CRITIC_SCALES)])

    def forward(self, picture: Tensor, conditions: Tensor) -> list[list[Tensor]]:
        """Return features of each scale; see `PatchCritic`."""
        seen = []
        for critic in self.scales:
            seen.append(critic(picture, conditions))
            picture, conditions = F.avg_pool2d(picture, 2), F.avg_pool2d(conditions, 2)
        return seen


def critic_loss(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """Compute the discriminator's least-squares GAN loss (Mao et al., 2017)."""
    terms = [(r[-1] - 1).square().mean() + f[-1].square().mean() for r, f in zip(real, fake, strict=True)]
    return torch.stack(terms).mean() / 2


def fooling_loss(fake: list[list[Tensor]]) -> Tensor:
    """Compute the generator's least-squares GAN loss."""
    return torch.stack([(features[-1] - 1).square().mean() for features in fake]).mean()


def matching_loss(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """Compute the feature-matching loss: distance of the discriminator's features (pix2pixHD)."""
    pairs = [pair for r, f in zip(real, fake, strict=True) for pair in zip(r[:-1], f[:-1], strict=True)]
    return torch.stack([(a.detach() - b).abs().mean() for a, b in pairs]).mean()


def middle_patch(x: Tensor) -> Tensor:
    """Crop the discriminator's input from windows [B, C, FINE WINDOW, FINE WINDOW]: the middle, with mouth or eye."""
    first = (FINE * WINDOW - CRITIC_PATCH) // 2
    return x[:, :, first : first + CRITIC_PATCH, first : first + CRITIC_PATCH]
