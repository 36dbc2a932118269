"""Train a student on its teacher's pictures, within a budget of minutes shared by all runs."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engines.files import replacing
from export.distil.regions import Regions
from export.distil.student import Student, resized
from export.distil.teacher import Lessons, Pictures
from export.starter.training.descent import descend
from export.starter.training.generator import SIZE, Generator, Motion, Painting, sample, window_grid
from export.starter.training.generator import resize as resize_grid
from export.starter.training.losses import edges

CROP = 96  # side of the window painted in a training step, in pixels of the network's picture
PEAK_RATE, WARM_STEPS = 1.2e-3, 40
LEAST_RATE = 0.02  # final learning rate, relative to the peak
EMA = 0.995
EYES_AND_MOUTH = 5.0  # extra weight of a pixel at the eyes and the mouth
NEAR = 26.0  # radius of that region around their middles, in pixels of the network's picture
EDGES, COARSE, WHOLE = 1.5, 1.0, 1.0  # weights of these losses relative to the picture's
WHOLE_SIDE = 128  # largest side in pixels at which the warped portrait alone is compared
SAVE_EVERY, SAY_EVERY = 60.0, 15.0  # seconds

Say = Callable[[str], None]


@dataclass
class Course:
    """A student in training, as stored in its checkpoint. average: moving average of its weights, the one exported."""

    model: Student
    average: Student
    optimizer: torch.optim.Optimizer
    step: int = 0
    trained_s: float = 0.0

    @classmethod
    def begin(cls, model: Student) -> Course:
        """Start a course from a student's present weights."""
        optimizer = torch.optim.AdamW(model.parameters(), PEAK_RATE, betas=(0.9, 0.98), weight_decay=1e-3)
        return cls(model, copy.deepcopy(model), optimizer)

    def save(self, path: Path) -> None:
        """Write a checkpoint atomically. Raises OSError."""
        for name, buffer in self.average.named_buffers():
            buffer.copy_(self.model.get_buffer(name))
        parts = {name: getattr(self, name).state_dict() for name in ("model", "average", "optimizer")}
        with replacing(path) as partial:
            torch.save({**parts, "step": self.step, "trained_s": self.trained_s}, partial)

    def load(self, path: Path) -> None:
        """Restore the state from a checkpoint."""
        saved: dict[str, Any] = torch.load(path, weights_only=True)
        for name in ("model", "average", "optimizer"):
            getattr(self, name).load_state_dict(saved[name])
        self.step, self.trained_s = int(saved["step"]), float(saved["trained_s"])


def warm_start(model: Student, released: Generator) -> None:
    """Copy the weights of the starter's generator into a student's."""
    model.generator.load_state_dict(released.state_dict())


class Trainer:
    """Trains a course on randomly drawn lessons."""

    def __init__(
        self, course: Course, lessons: Lessons, pictures: Pictures, regions: Regions, batch: int, seed: int
    ) -> None:
        self._batch = batch
        self._course, self._pictures, self._regions = course, pictures, regions
        self._first = len(lessons.held)
        self._keypoints = torch.from_numpy(lessons.learnt)
        self._rng = np.random.default_rng([seed, course.step])
        self._size = course.model.size

    def run(self, minutes: float, checkpoint: Path, say: Say) -> None:
        """Train until `minutes` have been spent in total over this and all earlier runs."""
        course, budget = self._course, 60 * minutes
        course.model.train()
        seen = saved = time.monotonic()
        shown = {"picture": 0.0}
        said = seen - SAY_EVERY
        while course.trained_s < budget:
            terms = self._step(course.trained_s / budget)
            now = time.monotonic()
            course.trained_s, seen = course.trained_s + now - seen, now
            kept = 0.95 if course.step > 1 else 0.0
            shown = {name: kept * shown.get(name, value) + (1 - kept) * value for name, value in terms.items()}
            if now - said > SAY_EVERY or course.trained_s >= budget:
                errors = ", ".join(f"{name} {value:.4f}" for name, value in shown.items())
                say(f"step {course.step}, {course.trained_s / 60:.1f} of {minutes:g} min: {errors}")
                said = now
            if now - saved > SAVE_EVERY:
                course.save(checkpoint)
                saved = now
        course.save(checkpoint)

    def _step(self, progress: float) -> dict[str, float]:
        course = self._course
        warm = min(1.0, (course.step + 1) / WARM_STEPS)
        rate = PEAK_RATE * warm * (LEAST_RATE + (1 - LEAST_RATE) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))
        for group in course.optimizer.param_groups:
            group["lr"] = rate
        chosen = self._rng.integers(len(self._keypoints), size=self._batch)
        target = np.stack([self._pictures[self._first + int(index)] for index in chosen])
        whole = torch.from_numpy(target).permute(0, 3, 1, 2).float() / 255
        windows = [self._regions.draw_window(self._rng, CROP) for _ in chosen]
        painting, motion = course.model(self._keypoints[chosen], windows, (CROP, CROP))
        terms = losses(course.model, painting, motion, whole, windows, self._regions)
        total = torch.stack(list(terms.values())).sum()
        course.step += 1
        descend(course.optimizer, course.model, course.average, total, course.step, EMA)
        return {name: float(value.detach()) for name, value in terms.items()}


def losses(
    model: Student, painting: Painting, motion: Motion, whole: Tensor, windows: list[tuple[int, int]], regions: Regions
) -> dict[str, Tensor]:
    """Compute the loss terms, to be summed, of windows of CROP pixels a side; whole: target pictures, [B, 3, S, S]."""
    places = window_grid(windows, (CROP, CROP), model.size, whole.device)
    target = F.grid_sample(whole, places, mode="nearest", align_corners=False)
    weight = 1 + EYES_AND_MOUTH * _nearness(places, regions)
    error = painting.picture - target
    side = min(WHOLE_SIDE, model.size)
    grid = resize_grid(motion.grid[:, :2], side)
    warped = sample(resized(model.portrait, side).expand(len(whole), -1, -1, -1), grid)
    return {
        "picture": (error.abs() * weight).mean(),
        "coarse": COARSE * (F.avg_pool2d(error, 2).abs() * F.avg_pool2d(weight, 2)).mean(),
        "edges": EDGES * edges(error, weight),
        "whole": WHOLE * (warped - resized(whole, side)).abs().mean(),
    }


def _nearness(places: Tensor, regions: Regions) -> Tensor:
    """Return soft masks of eyes and mouth, [B, 1, h, w] in 0..1, at places [B, h, w, 2] in -1..1."""
    middles = torch.from_numpy(regions.middles[:, ::-1].copy()) * (2 / SIZE) - 1
    distance = (places[:, None] - middles[None, :, None, None]).square().sum(-1) * (SIZE / 2 / NEAR) ** 2
    return torch.exp(-distance.square()).amax(1, keepdim=True)
