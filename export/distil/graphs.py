"""Export a student as graphs: appearance, and a render stage that computes whole frames from keypoints.

The graphs are split where precision changes, as the starter's are: coordinates and the final pixels stay in float32.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.manifest_file import StageEntry
from export.distil.regions import Regions
from export.distil.student import Student, finer, pooled, resized
from export.distil.teacher import PAINTED
from export.starter.assembly.folding import folded
from export.starter.assembly.onnx_graphs import GraphPlan, export_graph
from export.starter.assembly.stages import Decode, Refine, cut
from export.starter.training.generator import (
    FINE,
    GRID,
    RESIDUAL_SCALE,
    SIZE,
    Generator,
    correct,
    resize,
    sample,
)

FEATHER = 12  # pixels of the network over which the painted window fades in


class Appearance(nn.Module):
    """The portrait's features, computed once."""

    def __init__(self, student: Student, generator: Generator) -> None:
        super().__init__()
        self.drawing, self.generator = student.drawing, generator

    def forward(self, portrait: Tensor, source_keypoints: Tensor) -> tuple[Tensor, ...]:
        """Returns features at 1/2, 1/4, 1/8, the network's picture with its drawn maps, and the same at 1/4."""
        both = torch.cat([resized(portrait, SIZE), finer(self.drawing(source_keypoints))], 1)
        features = self.generator.appearance(both[:, :3], both[:, 3:])
        return features.half, features.quarter, features.eighth, both, F.avg_pool2d(both, SIZE // GRID)


class Look(nn.Module):
    """The part computed from keypoints alone: the drawn maps, and the motion network's input."""

    def __init__(self, student: Student, generator: Generator) -> None:
        super().__init__()
        self.drawing, self.generator = student.drawing, generator

    def forward(self, small: Tensor, source_keypoints: Tensor, driving_keypoints: Tensor) -> tuple[Tensor, ...]:
        """Returns `seen`, the flow's prior, and the drawn maps [1, C, GRID, GRID]."""
        drawn = self.drawing(driving_keypoints)
        seen, prior = self.generator.look(small, drawn, source_keypoints, driving_keypoints)
        return seen, prior, drawn


class Sample(nn.Module):
    """Sampling along the flow: the window's features, and the portrait."""

    def __init__(self, regions: Regions) -> None:
        super().__init__()
        self.regions = regions

    def forward(
        self,
        portrait: Tensor,
        both: Tensor,
        features_half: Tensor,
        features_quarter: Tensor,
        features_eighth: Tensor,
        prior: Tensor,
        refined: Tensor,
        context: Tensor,
        drawn: Tensor,
    ) -> tuple[Tensor, ...]:
        """Returns the decoder's inputs, and the warped portrait."""
        grid = correct(prior + refined[:, :2] * RESIDUAL_SCALE, refined)

        def warp(image: Tensor, occluded: bool) -> Tensor:
            places = self._window(resize(grid, image.shape[-1]), image.shape[-1])
            warped = sample(image, places[:, :2])
            return warped * places[:, 2:] if occluded else warped

        return (
            warp(features_half, True),
            warp(features_quarter, True),
            warp(features_eighth, True),
            self._window(context, GRID),
            warp(both, False),
            self._window(finer(drawn), SIZE),
            sample(portrait, resize(grid[:, :2], portrait.shape[-1])),
        )

    def _window(self, image: Tensor, side: int) -> Tensor:
        """Cut the painted window out of maps [1, C, side, side]."""
        (top, left), (height, width) = (
            [length * side // SIZE for length in pair] for pair in (self.regions.window, self.regions.extent)
        )
        return cut(image, torch.tensor([top, left]), height, width)


class Frame(nn.Module):
    """Blending of the painted window over the warped portrait, to pixels."""

    layer: Tensor

    def __init__(self, regions: Regions, size: int) -> None:
        super().__init__()
        self.size = size
        (top, left), (height, width) = regions.window, regions.extent
        around = (left, SIZE - left - width, top, SIZE - top - height)
        self.padding = tuple(side * size // SIZE for side in around)
        down, across = (_fading(*sides) for sides in ((top, height), (left, width)))
        self.register_buffer("layer", pooled((down[:, None] * across)[None, None], size))

    def forward(self, painted: Tensor, warped: Tensor) -> Tensor:
        """painted [1, 4, FINE h, FINE w], warped [1, 3, S, S] -> frame [1, S, S, 3] uint8."""
        whole = F.pad(pooled(painted, self.size), self.padding)
        alpha = torch.sigmoid(whole[:, 3:] - 1) * self.layer
        frame = warped * (1 - alpha) + torch.sigmoid(whole[:, :3]) * alpha
        return (frame.clamp(0, 1) * 255 + 0.5).permute(0, 2, 3, 1).to(torch.uint8)


def _fading(first: int, length: int) -> Tensor:
    """Return the weight of each painted row or column of a window, [PAINTED]; no fading at the picture's border."""
    at = (torch.arange(PAINTED) + 0.5) / FINE
    begins = torch.full_like(at, FEATHER) if first == 0 else at - first
    ends = torch.full_like(at, FEATHER) if first + length == SIZE else first + length - at
    return (torch.minimum(begins, ends) / FEATHER).clamp(0, 1)


def export_stages(student: Student, regions: Regions, folder: Path) -> dict[str, StageEntry]:
    """Write the student's graphs into a folder, and return their stages. Raises OSError."""
    generator = folded(student.generator)
    known: dict[str, Tensor] = {
        "portrait": student.portrait,
        "source_keypoints": student.source,
        "driving_keypoints": student.source + 0.01,
    }

    def entry(file: str, module: nn.Module, inputs: str, outputs: str, precise: bool = True) -> GraphPlan:
        given, names = {name: known[name] for name in inputs.split()}, tuple(outputs.split())
        with torch.no_grad():
            made = module.eval()(*given.values())
        known.update(zip(names, (made,) if isinstance(made, Tensor) else made, strict=True))
        return GraphPlan(file, module, given, names, "fp32" if precise else "bf16")

    features = "features_half features_quarter features_eighth"
    sampled = "half quarter eighth near picture conditions"
    plans = {
        "appearance": [
            entry(
                "appearance.onnx", Appearance(student, generator), "portrait source_keypoints", f"{features} both small"
            )
        ],
        "render": [
            entry(
                "render_look.onnx",
                Look(student, generator),
                "small source_keypoints driving_keypoints",
                "seen prior drawn",
            ),
            entry("render_refine.onnx", Refine(generator), "seen", "context refined", precise=False),
            entry(
                "render_sample.onnx",
                Sample(regions),
                f"portrait both {features} prior refined context drawn",
                f"{sampled} warped",
            ),
            entry("render_decode.onnx", Decode(generator), sampled, "painted", precise=False),
            entry("render_frame.onnx", Frame(regions, student.size), "painted warped", "frame"),
        ],
    }
    return {
        stage: StageEntry(0, tuple(export_graph(plan, folder) for plan in graphs)) for stage, graphs in plans.items()
    }
