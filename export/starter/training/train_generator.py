"""Train the starter generator; resume from its checkpoint.

    python -m export.starter.training.train_generator --data DIR --out generator.pt --minutes 90 [--critic-minutes 25]

Two CPU cores process 12-20 samples a second; `--device cuda --jobs 14` trains on a GPU.
`--start` starts from released weights (see export.starter.training.weights).
"""

from __future__ import annotations

import argparse
import copy
import itertools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engines.files import replacing
from export.starter.rendering.dataset import PLAIN
from export.starter.rendering.points import choose_points, topology
from export.starter.rendering.rig import Person, Rig
from export.starter.training.batches import WINDOW, Batch, BatchMaker, People
from export.starter.training.descent import descend
from export.starter.training.generator import CONDITIONS, FINE, Generator, crop, render_windows
from export.starter.training.losses import (
    Critic,
    critic_loss,
    fooling_loss,
    losses,
    matching_loss,
    middle_patch,
)
from export.starter.training.weights import load_weights
from streamer.avatar.condition_maps import ConditionRasterizer, Topology

BATCH = 8
HELD_OUT = 24  # people
PEAK_RATE = 1.5e-3
CRITIC_RATE = 4e-4
CRITIC_WEIGHT = 0.12
MATCHING_WEIGHT = 3.0
EMA = 0.998
SAVE_EVERY = 120.0  # seconds
REPORT_EVERY = 50  # steps


@dataclass
class State:
    """State of a training run, as stored in a checkpoint."""

    model: Generator
    average: Generator
    critic: Critic
    optimizer: torch.optim.Optimizer
    critic_optimizer: torch.optim.Optimizer
    step: int = 0
    trained_s: float = 0.0

    def save(self, path: Path) -> None:
        """Write the checkpoint atomically."""
        for name, buffer in self.average.named_buffers():
            buffer.copy_(self.model.get_buffer(name))
        parts = {name: getattr(self, name).state_dict() for name in STATEFUL}
        with replacing(path) as partial:
            torch.save({**parts, "step": self.step, "trained_s": self.trained_s}, partial)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint."""
        saved: dict[str, Any] = torch.load(path, weights_only=True)
        for name in STATEFUL:
            getattr(self, name).load_state_dict(saved[name])
        self.step, self.trained_s = int(saved["step"]), float(saved["trained_s"])


STATEFUL = ("model", "average", "critic", "optimizer", "critic_optimizer")


def new_state(start: Path | None, device: torch.device) -> State:
    """Create a state with random or released weights."""
    model = Generator()
    if start is not None:
        load_weights(start, model)
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    critic = Critic(CONDITIONS).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return State(
        model,
        copy.deepcopy(model),
        critic,
        torch.optim.AdamW(model.parameters(), PEAK_RATE, betas=(0.9, 0.98), weight_decay=1e-3),
        torch.optim.AdamW(critic.parameters(), CRITIC_RATE, betas=(0.5, 0.98)),
    )


def unpack(batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Convert source, target and their conditions to floats in 0..1."""
    pictures = (batch.source, batch.target, batch.source_conditions, batch.target_conditions)
    source, target, before, after = (picture.float() / 255 for picture in pictures)
    return source, target, before, after


def train_step(state: State, batch: Batch, rate: float, critical: bool) -> dict[str, Tensor]:
    """Run one step of the generator and, if `critical`, of its discriminator."""
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    source, target, before, after = unpack(batch)
    with torch.autocast(source.device.type, torch.bfloat16, enabled=_has_bfloat16(source.device)):
        painting, motion = render_windows(
            state.model,
            source,
            before,
            batch.source_points,
            batch.target_points,
            after,
            batch.windows,
            (WINDOW, WINDOW),
        )
    terms = losses(painting, motion, target, batch)
    total = torch.stack([value for name, value in terms.items() if not name.startswith("-")]).sum()
    if critical:
        extra, seen = _criticise(state, batch, painting.picture, target, after)
        total = total + extra
        terms |= seen
    state.step += 1
    descend(state.optimizer, state.model, state.average, total, state.step, EMA)
    return {name: value.detach() for name, value in terms.items()}


def _criticise(
    state: State, batch: Batch, made: Tensor, target: Tensor, after: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """Train the discriminator and return the generator's loss term."""

    conditions = middle_patch(F.interpolate(crop(after, batch.windows, (WINDOW, WINDOW)), scale_factor=FINE))
    true, false = middle_patch(target), middle_patch(made).float()
    loss = critic_loss(state.critic(true, conditions), state.critic(false.detach(), conditions))
    state.critic_optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    state.critic_optimizer.step()
    real, fake = state.critic(true, conditions), state.critic(false, conditions)
    matching = MATCHING_WEIGHT * matching_loss(real, fake)
    return CRITIC_WEIGHT * fooling_loss(fake) + matching, {"-critic": loss.detach(), "-matching": matching}


def _has_bfloat16(device: torch.device) -> bool:
    """Return whether the device has bfloat16 instructions; without them it is a hundred times slower than float32."""
    return device.type == "cuda" or bool(torch.cpu.get_capabilities().get("avx512_bf16"))


def plain_rasterizer(rig: Rig) -> ConditionRasterizer:
    """Return the family's condition-map rasterizer."""
    person = Person(rig, PLAIN)
    arrays = topology(choose_points(rig, person), person)
    return ConditionRasterizer(Topology.from_arrays(arrays, "starter topology"))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--assets", type=Path, required=True, help="folder of MakeHuman's CC0 assets")
    parser.add_argument("--data", type=Path, required=True, help="shards of export.starter.rendering.dataset")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint; resumed if it exists")
    parser.add_argument("--minutes", type=float, default=90, help="of training in all, earlier runs not counted")
    parser.add_argument("--critic-minutes", type=float, default=25, help="the last so many with the critic")
    parser.add_argument("--peak", type=float, default=PEAK_RATE)
    parser.add_argument("--start", type=Path, help="released weights to begin from")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--jobs", type=int, default=0, help="processes that make batches; 0: a thread of this one")
    parser.add_argument("--batch", type=int, default=BATCH)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    people = People(args.data)
    maker = BatchMaker(people, HELD_OUT, plain_rasterizer(Rig(args.assets)), args.batch, int(time.time()))
    batches = maker.batches_by(args.jobs) if args.jobs else maker.batches()
    first_batch = next(batches)  # before CUDA is initialised, as the processes that make batches are forked
    device = torch.device(args.device)
    torch.backends.cudnn.benchmark = True
    state = new_state(args.start, device)
    if args.out.exists():
        state.load(args.out)
    print(f"{len(people)} pictures of {len(people.people)} people; from step {state.step}", flush=True)
    start = saved = time.monotonic()
    earlier, smooth, first = state.trained_s, dict[str, Tensor](), state.step
    for batch in itertools.chain([first_batch], batches):
        if (elapsed := time.monotonic() - start) >= 60 * args.minutes:
            break
        progress = elapsed / (60 * args.minutes)
        warm = min(1.0, (state.step - first + 1) / 60)
        rate = args.peak * warm * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * progress)))
        critical = elapsed > 60 * (args.minutes - args.critic_minutes)
        terms = train_step(state, batch.to(device), float(rate), critical)
        state.trained_s = earlier + elapsed
        smooth = {name: 0.97 * smooth.get(name, value) + 0.03 * value for name, value in terms.items()}
        if state.step % REPORT_EVERY == 0:
            shown = " ".join(f"{name} {float(value):.4f}" for name, value in smooth.items())
            speed = (state.step - first) * args.batch / (elapsed + 1e-9)
            print(f"step {state.step} {elapsed / 60:.1f} min {speed:.1f}/s {shown}", flush=True)
        if time.monotonic() - saved > SAVE_EVERY:
            state.save(args.out)
            saved = time.monotonic()
    state.save(args.out)


if __name__ == "__main__":
    main()
