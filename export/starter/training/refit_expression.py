"""Fit the last layer of a trained expression network to other features or mouth shapes, in closed form.

    python -m export.starter.training.refit_expression --work DIR --out engines/starter/expression.onnx

The graph in --out is replaced. Only the last layer changes: ridge regression on the takes of --work's speech-* folders
(see `train_expression`), regularised towards the old weights instead of zero. It takes minutes instead of hours of
training, and keeps the features learnt from many voices.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from export.starter.rendering.face_units import FACE_UNITS
from export.starter.training.expression_data import WindowSet
from export.starter.training.expression_net import (
    ExpressionNet,
    FieldNet,
    calibration,
    export_expression,
    read_expression,
)

PULL = 0.1  # strength of regularisation, relative to the features' mean power
BATCH = 2000  # windows


@torch.no_grad()
def heard(fields: FieldNet, mel: Tensor) -> Tensor:
    """Compute the last layer's input for windows [n, 1, 80, WINDOW], with a 1 for its bias: [n, features + 1]."""
    seen = fields.head[:-1](fields.back(fields.to_the_end(fields.front(mel[..., fields.unheard :] / 4))))
    return torch.cat([seen, torch.ones(len(seen), 1)], dim=1)


@torch.no_grad()
def refit(fields: FieldNet, features: Tensor, target: Tensor, pull: float = PULL) -> None:
    """Fit the last layer so that `features` [n, F + 1] (see `heard`) give `target` [n, len(FIELDS)]."""
    layer = fields.head[-1]
    if not isinstance(layer, nn.Linear):
        raise TypeError(f"the last layer is a {type(layer).__name__}, expected Linear")
    old = torch.cat([layer.weight, layer.bias[:, None]], dim=1)
    power = features.T @ features / len(features)
    missing = features.T @ (target - features @ old.T) / len(features)
    change = torch.linalg.solve(power + pull * power.diag().mean() * torch.eye(len(power)), missing).T
    layer.weight.add_(change[:, :-1])
    layer.bias.add_(change[:, -1])


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("build/starter-expression"), help="where the speech is kept")
    parser.add_argument("--out", type=Path, default=Path("engines/starter/expression.onnx"))
    args = parser.parse_args()
    shards = sorted(args.work.glob("speech-*/*[0-9].npz"))
    if not shards:
        print(f"avatar: no speech-*/*.npz in {args.work}; train_expression makes them", file=sys.stderr)
        return 2
    fields = read_expression(args.out, FACE_UNITS).fields.eval()
    features, targets = [], []
    for shard in shards:
        speech = WindowSet([shard])
        for frames in torch.split(torch.arange(len(speech)), BATCH):
            mel, target = speech.windows(frames)
            features.append(heard(fields, mel))
            targets.append(target)
    seen, target = torch.cat(features), torch.cat(targets)
    refit(fields, seen, target)
    gain = calibration(fields.head[-1](seen[:, :-1]).detach().clamp(0, 1), target)
    export_expression(ExpressionNet(fields, FACE_UNITS, gain), args.out)
    print(f"wrote {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
