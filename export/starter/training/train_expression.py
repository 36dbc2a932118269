"""Train the starter's expression network on synthetic speech and export it.

    python -m export.starter.training.train_expression --kokoro DIR --out engines/starter/expression.onnx

Makes the speech (kept in --work, reused), trains (resumes from --work's checkpoint), reports the error on held-out
voices and writes the ONNX graph; python -m export.starter.assembly.family --expression enters it into the family. Needs
libespeak-ng1, espeak-ng-data and flite, and the neural voices that export/starter/voices/kokoro.py describes. Takes
about two hours on two cores.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from engines.errors import AvatarError
from engines.files import replacing
from export.starter.rendering.face_units import FACE_UNITS
from export.starter.training.expression_data import WindowSet, field_weights, make_shards, vary_features
from export.starter.training.expression_net import (
    ExpressionNet,
    FieldNet,
    calibration,
    export_expression,
    read_expression,
    renormalise,
)
from export.starter.voices.visemes import FIELDS, REACHED
from export.starter.voices.voice_bank import make_bank

VOICE_MINUTES, MINUTES, STEPS = 60, 240, 7000
Batch = tuple[Tensor, Tensor, Tensor]  # from WindowSet.runs
RUN_LENGTH = 8  # consecutive frames, for the velocity loss
VELOCITY_WEIGHT = 1.0
SMOOTH_AVERAGE = 0.998  # share of the weights' average kept per step
RARE = (*REACHED, "tongue")
RARE_WEIGHT = 4.0
NORM_WINDOWS = 4096  # windows used to restore the norms of a network read from its graph
REPORT_EVERY = 100  # steps
SAVE_EVERY = 500


@dataclass
class Training:
    """State of a training run, as stored in a checkpoint."""

    net: FieldNet
    average: FieldNet
    optimiser: torch.optim.Optimizer
    step: int = 0

    def save(self, path: Path) -> None:
        """Write a checkpoint atomically."""
        state = {"net": self.net.state_dict(), "average": self.average.state_dict(), "step": self.step}
        with replacing(path) as partial:
            torch.save({**state, "optimiser": self.optimiser.state_dict()}, partial)

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint written by `save`."""
        state = torch.load(path, weights_only=True)
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = int(state["step"])


def loss_of(predicted: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Compute the weighted error of fields [n, run, len(FIELDS)] and of their frame-to-frame change.

    Rare fields use the squared error: closures are active an eighth of the time, and the absolute error is minimal at
    the median, 0.
    """
    moves = predicted.diff(dim=1), target.diff(dim=1)
    position, velocity = _error(predicted, target), _error(*moves)
    return (position * weights).mean() + VELOCITY_WEIGHT * (velocity * weights).mean()


def _error(predicted: Tensor, target: Tensor) -> Tensor:
    rare = torch.tensor([name in RARE for name in FIELDS])
    usual = smooth_l1_loss(predicted, target, beta=0.2, reduction="none")
    return torch.where(rare, RARE_WEIGHT * (predicted - target).square(), usual)


def train(state: Training, batches: Iterator[Batch], steps: int, rate: float, checkpoint: Path) -> None:
    """Train to `steps` with a one-cycle learning rate, saving and reporting regularly."""
    weights, progress = field_weights(), Progress(state.step, steps)
    state.net.train()
    while state.step < steps:
        mel, starts, target = next(batches)
        fall = 0.5 + 0.5 * np.cos(np.pi * state.step / steps)
        for group in state.optimiser.param_groups:
            group["lr"] = float(rate * min(1.0, state.step / 200) * fall + 1e-6)
        varied = vary_features(mel).to(memory_format=torch.channels_last)  # 1.5 times as fast on a CPU
        loss = loss_of(state.net.forward_runs(varied, starts), target, weights)
        learn(state, loss, SMOOTH_AVERAGE)
        progress.note(state.step, loss.item())
        if state.step % SAVE_EVERY == 0 or state.step == steps:
            state.save(checkpoint)


def learn(state: Training, loss: Tensor, memory: float) -> None:
    """Make one step to lower a loss; the average keeps a share `memory` of itself, less in the first steps."""
    state.optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    state.optimiser.step()
    state.step += 1
    follow(state.average, state.net, min(memory, state.step / (state.step + 20)))


class Progress:
    """Prints loss and remaining time every REPORT_EVERY steps."""

    def __init__(self, first: int, steps: int) -> None:
        self._first, self._steps = first, steps
        self._began, self._sum = time.monotonic(), 0.0

    def note(self, step: int, loss: float) -> None:
        """Count one step, and report if due."""
        self._sum += loss
        if step % REPORT_EVERY:
            return
        pace = (time.monotonic() - self._began) / (step - self._first)
        left = f"{pace * 1000:.0f} ms a step, {(self._steps - step) * pace / 60:.0f} min left"
        print(f"step {step}/{self._steps}  loss {self._sum / REPORT_EVERY:.4f}  {left}", file=sys.stderr, flush=True)
        self._sum = 0.0


@torch.no_grad()
def follow(average: FieldNet, net: FieldNet, keep: float) -> None:
    """Move the averaged weights toward the current ones; counters and statistics are copied."""
    for ours, theirs in zip(average.parameters(), net.parameters(), strict=True):
        ours.lerp_(theirs, 1 - keep)
    for our_buffer, their_buffer in zip(average.buffers(), net.buffers(), strict=True):
        our_buffer.copy_(their_buffer)


@torch.no_grad()
def predictions(net: FieldNet, data: WindowSet) -> tuple[Tensor, Tensor]:
    """Return predictions and targets of every window of a set, [n, len(FIELDS)] each."""
    net.eval()
    pieces = [(net(mel), fields) for mel, fields in map(data.windows, torch.split(torch.arange(len(data)), 4096))]
    predicted, target = (torch.cat(column) for column in zip(*pieces, strict=True))
    return predicted.clamp(0, 1), target


def evaluate(net: FieldNet, data: WindowSet) -> dict[str, float]:
    """Compute mean absolute error and correlation of the fields on a set, and the hit rate of closures."""
    predicted, target = predictions(net, data)
    jaw, contact = FIELDS.index("jaw"), FIELDS.index("contact")
    closed, shut = target[:, contact] > 0.9, predicted[:, contact] > 0.5
    apart = target[:, contact] < 0.1
    pairs = zip(predicted.T, target.T, strict=True)
    correlation = torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in pairs])
    return {
        "mean_error": (predicted - target).abs().mean().item(),
        "jaw_r": correlation[jaw].item(),
        "field_r": correlation.mean().item(),
        "closures_hit": shut[closed].float().mean().item(),
        "false_closures": shut[apart].float().mean().item(),
    }


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("engines/starter/expression.onnx"))
    parser.add_argument("--work", type=Path, default=Path("build/starter-expression"), help="speech and checkpoints")
    parser.add_argument("--kokoro", type=Path, required=True, help="folder of the neural voices")
    parser.add_argument("--voice-minutes", type=int, default=VOICE_MINUTES, help="of them (default %(default)s)")
    parser.add_argument("--minutes", type=int, default=MINUTES, help="of speech to train on (default %(default)s)")
    parser.add_argument("--steps", type=int, default=STEPS, help="of 512 windows (default %(default)s)")
    parser.add_argument("--rate", type=float, default=3e-3, help="highest learning rate (default %(default)s)")
    parser.add_argument("--start", type=Path, help="graph whose weights training begins with (default: random ones)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2, help="processes that make speech, and threads that train")
    args = parser.parse_args()
    try:
        run(args)
    except AvatarError as error:
        print(f"avatar: {error}", file=sys.stderr)
        return 2
    return 0


def run(args: argparse.Namespace) -> None:
    """Make speech, train, report, export."""
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.workers)
    work: Path = args.work
    bank, others = work / "bank", work / "bank-held-out"
    make_bank(bank, args.voice_minutes, 1, args.kokoro, workers=args.workers)
    make_bank(others, 10, 7, args.kokoro, held_out=True, workers=args.workers)
    shards = make_shards(work / f"speech-{args.seed}", args.minutes, args.seed, bank=bank, workers=args.workers)
    speech = WindowSet(shards)
    held = {
        "held-out formant and Flite voices, clean": make_shards(work / "held-out-clean", 5, 98, True, True),
        "held-out formant and Flite voices, noisy": make_shards(work / "held-out-noisy", 10, 99, True),
        "held-out neural voices, clean": make_shards(work / "held-out-neural-clean", 5, 98, True, True, others),
        "held-out neural voices, noisy": make_shards(work / "held-out-neural-noisy", 10, 99, True, False, others),
    }
    net, average = FieldNet(), FieldNet()
    if args.start is not None:
        net.load_state_dict(read_expression(args.start, FACE_UNITS).fields.state_dict())
        renormalise(net, speech.windows(torch.randperm(len(speech))[:NORM_WINDOWS])[0])
    average.load_state_dict(net.state_dict())
    state = Training(net, average, torch.optim.AdamW(net.parameters(), weight_decay=0.02))
    checkpoint = work / "checkpoint.pt"
    if checkpoint.exists():
        state.resume(checkpoint)
        print(f"continuing from step {state.step}", file=sys.stderr)
    batches = speech.runs(np.random.default_rng(args.seed + state.step), runs=64, length=RUN_LENGTH)
    train(state, batches, args.steps, args.rate, checkpoint)
    for name, paths in held.items():
        figures = evaluate(state.average, WindowSet(paths))
        print(f"{name}: " + "  ".join(f"{key} {value:.3f}" for key, value in figures.items()))
    gain = calibration(*predictions(state.average, WindowSet(shards[:2])))
    export_expression(ExpressionNet(state.average, FACE_UNITS, gain), args.out)
    print(f"wrote {args.out}")


if __name__ == "__main__":
    sys.exit(main())
