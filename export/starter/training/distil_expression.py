"""Train the expression network to give, earlier and from noisy sound, its own results on clean sound.

    python -m export.starter.training.distil_expression --bank DIR --out engines/starter/expression.onnx

The graph in --out is replaced. The original network is the teacher; the student, a copy of it, gets synthetic speech
with disturbances in windows that end --unheard mel frames earlier, and learns the teacher's outputs for the same speech
undisturbed (J. Li et al. 2017, "Large-scale domain adaptation via teacher-student learning"). Training on few voices
makes other voices worse; interpolating half way back to the teacher's weights recovers this (M. Wortsman et al. 2022,
"Robust fine-tuning of zero-shot models"). Speech is synthesised continuously, so no noise is repeated. Takes ten
minutes on one core; resumes from --work.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engines.files import replacing
from export.starter.rendering.face_units import FACE_UNITS
from export.starter.training.expression_data import field_weights
from export.starter.training.expression_net import (
    CERTAINTY,
    ExpressionNet,
    FieldNet,
    export_expression,
    read_expression,
    renormalise,
)
from export.starter.training.hearings import Hearing, HearingPool, Hearings
from export.starter.training.train_expression import NORM_WINDOWS, Progress, Training, follow, learn, loss_of
from export.starter.voices.visemes import FIELDS

STEPS, UNHEARD, SHARE = 1250, 3, 0.5
AT_FIRST, MOST = 40, 500  # hearings in the pool, at the start and at most
FRESH_EVERY = 5  # steps per new hearing
RUNS, RUN_LENGTH = 12, 16  # runs of a batch; frames of a run
CLEAN_SHARE = 2 / 3  # of the runs
# Highest learning rate; the front's share of it, as its features come from more voices than these; steps of warm-up.
RATE, FRONT_SHARE, WARM_UP = 2e-4, 0.25, 100
SMOOTH_AVERAGE = 0.997  # share of the weights' average kept per step
REACHED_WEIGHT = 0.5  # weight of `reached_loss`
SAVE_EVERY = 250  # steps

_KEPT = ("net", "average", "begun", "optimiser")


@dataclass
class Distillation(Training):
    """A student in training. net: the trained weights; average: their moving average, the result."""

    begun: FieldNet = field(kw_only=True)  # the teacher's weights

    @classmethod
    def of(cls, teacher: FieldNet, unheard: int) -> Distillation:
        """Start from the teacher's weights."""
        net = FieldNet(unheard).eval()
        net.load_state_dict(teacher.state_dict())
        optimiser = torch.optim.AdamW(cls._groups(net), weight_decay=0.0)
        return cls(net, copy.deepcopy(net), optimiser, begun=copy.deepcopy(net))

    @staticmethod
    def _groups(net: FieldNet) -> list[dict[str, Any]]:
        rest = [*net.back.parameters(), *net.head.parameters()]
        return [{"params": [*net.front.parameters()], "share": FRONT_SHARE}, {"params": rest, "share": 1.0}]

    def save(self, path: Path) -> None:
        """Write a checkpoint atomically."""
        with replacing(path) as partial:
            torch.save({part: getattr(self, part).state_dict() for part in _KEPT} | {"step": self.step}, partial)

    def resume(self, path: Path) -> None:
        """Continue from a checkpoint written by `save`."""
        state = torch.load(path, weights_only=True)
        for part in _KEPT:
            getattr(self, part).load_state_dict(state[part])
        self.step = int(state["step"])

    def restore_norms(self, mel: Tensor) -> None:
        """Restore the networks' batch norms from windows [n, 1, 80, WINDOW], before the first step."""
        renormalise(self.net, mel)
        for other in (self.average, self.begun):
            other.load_state_dict(self.net.state_dict())

    def result(self, share: float) -> FieldNet:
        """Interpolate between the teacher's weights and those learnt. share: weight of the latter."""
        result = copy.deepcopy(self.average)
        follow(result, self.begun, share)
        return result


def distil(
    state: Distillation,
    fresh: Iterator[Hearing],
    pool: HearingPool,
    steps: int,
    seed: int,
    save_to: Path,
    runs: int = RUNS,
) -> None:
    """Train to `steps` of `runs` stretches, adding a hearing of `fresh` every FRESH_EVERY steps.

    The norms' statistics are fixed and there is no dropout, so that the student stays the same network.
    """
    rng, weights = np.random.default_rng(seed), field_weights()
    progress = Progress(state.step, steps)
    while state.step < steps:
        if state.step % FRESH_EVERY == 0:
            pool.add(next(fresh))
        rise, fall = min(1.0, (state.step + 1) / WARM_UP), 0.5 + 0.5 * np.cos(np.pi * state.step / steps)
        for group in state.optimiser.param_groups:
            group["lr"] = float(RATE * rise * fall * group["share"]) + 1e-6
        batch = pool.batch(rng, runs, RUN_LENGTH, round(CLEAN_SHARE * runs), state.net.unheard)
        mel = batch.mel.to(memory_format=torch.channels_last)  # 1.5 times as fast on a CPU
        predicted = state.net.forward_runs(mel, batch.starts)
        loss = loss_of(predicted, batch.target, weights) + REACHED_WEIGHT * reached_loss(predicted, batch.target)
        learn(state, loss, SMOOTH_AVERAGE)
        progress.note(state.step, loss.item())
        if state.step % SAVE_EVERY == 0 or state.step == steps:
            state.save(save_to)


def reached_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Compute the squared error of the all-or-nothing fields (CERTAINTY) after thresholding, [n, run, len(FIELDS)]."""
    columns = torch.tensor([FIELDS.index(name) for name in CERTAINTY])
    no, yes = (torch.tensor([bounds[end] for bounds in CERTAINTY.values()]) for end in (0, 1))
    shown = [((x[..., columns] - no) / (yes - no)).clamp(0, 1) for x in (predicted, target)]
    return (shown[0] - shown[1]).square().mean()


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bank", type=Path, help="folder of the neural voices (train_expression makes it)")
    parser.add_argument("--out", type=Path, default=Path("engines/starter/expression.onnx"))
    parser.add_argument("--work", type=Path, default=Path("build/starter-ears"), help="for the checkpoint")
    parser.add_argument("--steps", type=int, default=STEPS, help="of training (default %(default)s)")
    parser.add_argument("--unheard", type=int, default=UNHEARD, help="mel frames, of 12.5 ms (default %(default)s)")
    parser.add_argument("--share", type=float, default=SHARE, help="of what is learnt (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    teacher, checkpoint = read_expression(args.out, FACE_UNITS), args.work / "checkpoint.pt"
    if teacher.fields.unheard:
        print(f"avatar: {args.out} is a student itself; expected the graph of train_expression", file=sys.stderr)
        return 2
    state = Distillation.of(teacher.fields.eval(), args.unheard)
    if checkpoint.exists():
        state.resume(checkpoint)
    fresh, pool = iter(Hearings(teacher.fields, args.seed + state.step, args.bank)), HearingPool(MOST)
    while len(pool) < AT_FIRST:
        pool.add(next(fresh))
        print(f"\r{len(pool)} of {AT_FIRST} hearings made", end="", file=sys.stderr, flush=True)
    if not state.step:
        state.restore_norms(pool.windows(np.random.default_rng(args.seed), NORM_WINDOWS))
    args.work.mkdir(parents=True, exist_ok=True)
    distil(state, fresh, pool, args.steps, args.seed + state.step, checkpoint)
    export_expression(ExpressionNet(state.result(args.share), FACE_UNITS, teacher.gain), args.out)
    print(f"wrote {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
