"""Generator of the starter family: warp the portrait along its keypoints' motion, then repaint mouth and eyes.

A motion prior interpolated from keypoints is refined by a small U-Net into a backward flow with an occlusion map; image
features warped by it, and condition maps (lips, lids, teeth, tongue), are decoded in a window over the face and blended
over the warped picture. One-shot warp-and-paint goes back to Monkey-Net and the First Order Motion Model (Siarohin et
al., 2019); explicit keypoints replace their unsupervised ones, since the rig knows where its points are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.starter.rendering import points

SIZE = 256
FINE = 2  # painted pixels per pixel of the network's picture, along a side
GRID = 64  # the flow's resolution
WINDOW_STEP = 8  # windows start at multiples of the coarsest feature's pixel
CONDITIONS = 7
RESIDUAL_SCALE = 0.25

# Prior: standard deviations of the interpolation, coarse to fine, and the weight at which a level counts half.
Levels = tuple[tuple[float, float], ...]
LEVELS: Levels = ((0.12, 1.0), (0.05, 0.5), (0.025, 0.5))


def prior_points() -> list[int]:
    """Choose the keypoints of the motion prior: all lip and lid points, a third of other face points, the body."""
    core = {*points.INNER_LIPS, *points.OUTER_LIPS, *points.RIGHT_EYE, *points.LEFT_EYE}
    rest = [index for index in range(468) if index not in core]
    body = range(points.FACE_POINTS, points.FACE_POINTS + points.HEAD_POINTS + points.SHOULDER_POINTS)
    return [*sorted(core), *rest[::3], *body]


def pixel_grid(size: int, device: torch.device | None = None) -> Tensor:
    """Return the pixel centres of a square picture, [size, size, 2] as (x, y) in -1..1."""
    line = (torch.arange(size, device=device) + 0.5) / size * 2 - 1
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)


def block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Build convolution, batch norm (folded at export), SiLU. Batch norm, unlike group norm, is equal on a crop."""
    conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs, momentum=0.03), nn.SiLU())


def double(x: Tensor) -> Tensor:
    """Upsample by two by nearest neighbours."""
    return F.interpolate(x, scale_factor=2.0)


class UpBlock(nn.Sequential):
    """A `block` of a coarse map, upsampled by two, and a fine one beside it."""

    def __init__(self, coarse: int, fine: int, outputs: int) -> None:
        super().__init__(*block(coarse + fine, outputs))
        self.coarse = coarse

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:  # type: ignore[override]
        """[B, coarse, h, w] and [B, fine, 2 h, 2 w] -> [B, outputs, 2 h, 2 w]."""
        convolution, norm, activation = self
        made: Tensor = activation(norm(convolution(torch.cat([double(coarse), fine], 1))))
        return made


class MotionPrior(nn.Module):
    """Backward flow from keypoint displacements, by Gaussian-weighted averages from coarse to fine."""

    chosen: Tensor
    line: Tensor

    def __init__(self, chosen: Sequence[int] | None = None, levels: Levels = LEVELS) -> None:
        """chosen: the keypoints it uses; None: the starter's `prior_points`."""
        super().__init__()
        self.levels = levels
        chosen = prior_points() if chosen is None else list(chosen)
        self.register_buffer("chosen", torch.tensor(chosen), persistent=False)
        self.register_buffer("line", (torch.arange(GRID) + 0.5) / GRID * 2 - 1, persistent=False)

    def forward(self, source: Tensor, driving: Tensor) -> tuple[Tensor, Tensor]:
        """Keypoints [B, K, 2+] -> flow [B, 2, G, G] (source minus here) and confidence [B, 1, G, G].

        A Gaussian of distance is a product of one in x and one in y, so each sum over keypoints is a matrix product.
        """
        here = driving[:, self.chosen, :2]
        shift = source[:, self.chosen, :2] - here
        flow = torch.zeros(here.shape[0], 2, GRID, GRID, device=here.device)
        trust = torch.zeros(here.shape[0], 1, GRID, GRID, device=here.device)
        for level, (sigma, half) in enumerate(self.levels):
            along_x = torch.exp((here[..., 0:1] - self.line).square() * (-0.5 / sigma**2))
            along_y = torch.exp((here[..., 1:2] - self.line).square() * (-0.5 / sigma**2)).transpose(1, 2)
            weight = (along_y @ along_x)[:, None]
            moved = torch.stack([(along_y * shift[:, None, :, k]) @ along_x for k in range(2)], 1)
            mix = weight / (weight + half)
            flow = flow * (1 - mix) + moved / (weight + 1e-4) * mix
            trust = mix if level == 0 else trust
        return flow, trust


@dataclass(frozen=True)
class Features:
    """The portrait's features at 1/2, 1/4 and 1/8 of its size: [B, 32|64|128, ...]."""

    half: Tensor
    quarter: Tensor
    eighth: Tensor


@dataclass(frozen=True)
class Motion:
    """Backward sampling grid and occlusion [B, 3, G, G] (x, y, then 0..1), the flow part alone, and context."""

    grid: Tensor
    flow: Tensor
    context: Tensor


@dataclass(frozen=True)
class Painting:
    """The finished window, the warped picture in it, and the blend weight of the painting."""

    picture: Tensor
    warped: Tensor
    alpha: Tensor


class Generator(nn.Module):
    """Network from portrait and keypoints to a frame. Windows start at multiples of WINDOW_STEP pixels."""

    def __init__(self, prior: MotionPrior | None = None) -> None:
        """prior: for a family whose keypoints differ from the starter's."""
        super().__init__()
        self.prior = prior or MotionPrior()
        self.enter = block(3 + CONDITIONS, 16)
        self.down = nn.ModuleList([block(16, 32, 2), block(32, 64, 2), block(64, 128, 2)])
        looked_at = 3 + (3 + CONDITIONS) + 3 + CONDITIONS
        self.motion_in = block(looked_at, 32)
        self.motion_down = nn.ModuleList([block(32, 64, 2), block(64, 96, 2)])
        self.motion_up = nn.ModuleList([UpBlock(96, 64, 64), UpBlock(64, 32, 32)])
        self.motion_out = nn.Conv2d(32, 3, 3, 1, 1)
        nn.init.zeros_(self.motion_out.weight)
        nn.init.zeros_(self.motion_out.bias)  # type: ignore[arg-type]
        self.context = block(32, 48, 2)
        self.at_eighth = nn.Sequential(block(128 + 48, 128), block(128, 128))
        self.at_quarter = UpBlock(128, 64, 64)
        self.at_half = UpBlock(64, 32 + CONDITIONS, 32)
        self.at_full = nn.ModuleList([UpBlock(32, 3 + 2 * CONDITIONS, 24), block(24, 24)])
        self.paint = nn.Conv2d(24, 4 * FINE**2, 3, 1, 1)

    def appearance(self, portrait: Tensor, conditions: Tensor) -> Features:
        """Encode a portrait [B, 3, 256, 256] in 0..1 and its condition maps, once per avatar."""
        half = self.down[0](self.enter(torch.cat([portrait, conditions], 1)))
        quarter = self.down[1](half)
        return Features(half, quarter, self.down[2](quarter))

    def look(self, small: Tensor, small_driving: Tensor, source: Tensor, driving: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the motion network's input [B, 23, 64, 64] and the prior's flow [B, 2, 64, 64].

        `small`: portrait and conditions at 1/4 [B, 10, 64, 64]; driving conditions at 1/4; keypoints [B, K, 2+].
        """
        with torch.autocast(small.device.type, enabled=False):
            flow, trust = self.prior(source, driving)
            guess = sample(small, pixel_grid(GRID, small.device).permute(2, 0, 1)[None] + flow)
        return torch.cat([small[:, :3], guess, flow * 4, trust, small_driving], 1), flow

    def refine(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the decoder's context [B, 32, 64, 64] and corrections of flow and occlusion [B, 3, 64, 64]."""
        top = self.motion_in(seen)
        middle = self.motion_down[0](top)
        low = self.motion_down[1](middle)
        middle = self.motion_up[0](low, middle)
        top = self.motion_up[1](middle, top)
        return top, self.motion_out(top)

    def motion(self, small: Tensor, small_driving: Tensor, source: Tensor, driving: Tensor) -> Motion:
        """Run `look`, `refine` and `correct`."""
        return self.move(*self.look(small, small_driving, source, driving))

    def move(self, seen: Tensor, flow: Tensor) -> Motion:
        """Run `refine` and `correct` on the results of `look`."""
        context, refined = self.refine(seen)
        flow = flow + refined[:, :2].float() * RESIDUAL_SCALE
        return Motion(correct(flow, refined), flow, context)

    def decode(self, warped: Features, context: Tensor, picture: Tensor, driving: Tensor) -> Tensor:
        """Decode one window's warped features, motion context (1/4), warped picture and conditions, driving conditions.

        Returns painted RGB logits and blend logits [B, 4, FINE h, FINE w] (sub-pixel convolution, Shi et al., 2016).
        """
        x = self.at_eighth(torch.cat([warped.eighth, self.context(context)], 1))
        x = self.at_quarter(x, warped.quarter)
        x = self.at_half(x, torch.cat([warped.half, F.avg_pool2d(driving, 2)], 1))
        x = self.at_full[1](self.at_full[0](x, torch.cat([picture, driving], 1)))
        return F.pixel_shuffle(self.paint(x), FINE)


def correct(flow: Tensor, refined: Tensor) -> Tensor:
    """Turn corrected flow [B, 2, G, G] into a sampling grid with occlusion, [B, 3, G, G]."""
    base = pixel_grid(GRID, flow.device).permute(2, 0, 1)[None]
    return torch.cat([base + flow, torch.sigmoid(refined[:, 2:].float() + 1)], 1)


def sample(image: Tensor, grid: Tensor) -> Tensor:
    """Sample image [B, C, H, W] bilinearly at grid [B, 2, h, w] (-1..1, border repeated), in float32."""
    places = grid.permute(0, 2, 3, 1)
    return F.grid_sample(image.float(), places, align_corners=False, padding_mode="border")


def resize(grid: Tensor, size: int) -> Tensor:
    """Resize a sampling grid."""
    return F.interpolate(grid, size=(size, size), mode="bilinear", align_corners=False)


def crop(x: Tensor, windows: list[tuple[int, int]], extent: tuple[int, int]) -> Tensor:
    """Cut each sample's window (top, left in full-size pixels) of `extent` pixels from maps of any resolution.

    One gather for all samples: the gradient of one slice per sample would allocate a zeroed batch for each.
    """
    width = x.shape[-1]
    corner = torch.tensor(windows, device=x.device) * width // SIZE
    rows, columns = (corner[:, k, None] + torch.arange(extent[k] * width // SIZE, device=x.device) for k in range(2))
    index = (rows[:, :, None] * width + columns[:, None]).flatten(1)[:, None].expand(-1, x.shape[1], -1)
    return x.flatten(2).gather(2, index).view(*x.shape[:2], rows.shape[1], columns.shape[1])


def window_grid(windows: list[tuple[int, int]], extent: tuple[int, int], size: int, device: torch.device) -> Tensor:
    """Return pixel centres of each sample's window in a picture of `size` pixels, [B, h, w, 2] as (x, y) in -1..1."""
    corner = torch.tensor(windows, dtype=torch.float32, device=device) * (2 / SIZE) - 1
    y, x = (
        corner[:, k, None] + (torch.arange(extent[k] * size // SIZE, device=device) + 0.5) * (2 / size)
        for k in range(2)
    )
    shape = (-1, y.shape[1], x.shape[1])
    return torch.stack([x[:, None].expand(*shape), y[:, :, None].expand(*shape)], -1)


def blend(painted: Tensor, warped: Tensor) -> Painting:
    """Compose the painted logits over the warped picture."""
    alpha = torch.sigmoid(painted[:, 3:].float() - 1)
    colour = torch.sigmoid(painted[:, :3].float())
    return Painting(warped * (1 - alpha) + colour * alpha, warped, alpha)


def render_windows(
    model: Generator,
    photo: Tensor,
    source_conditions: Tensor,
    source: Tensor,
    driving: Tensor,
    driving_conditions: Tensor,
    windows: list[tuple[int, int]],
    extent: tuple[int, int],
) -> tuple[Painting, Motion]:
    """Run the whole model on one window of each sample; the photo [B, 3, 512, 512] has the painting's resolution."""
    portrait = F.avg_pool2d(photo, FINE)
    both = torch.cat([portrait, source_conditions], 1)
    motion = model.motion(F.avg_pool2d(both, 4), F.avg_pool2d(driving_conditions, 4), source, driving)
    features = model.appearance(portrait, source_conditions)

    def warp(image: Tensor, occluded: bool) -> Tensor:
        places = window_grid(windows, extent, image.shape[-1], image.device)
        grid = F.grid_sample(motion.grid, places, align_corners=False, padding_mode="border")
        warped = sample(image, grid[:, :2])
        return warped * grid[:, 2:] if occluded else warped

    warped = Features(warp(features.half, True), warp(features.quarter, True), warp(features.eighth, True))
    conditions = crop(driving_conditions, windows, extent)
    painted = model.decode(warped, crop(motion.context, windows, extent), warp(both, False), conditions)
    return blend(painted, warp(photo, False)), motion
