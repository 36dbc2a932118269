"""Train the starter's pose network on the parametric process of `export.starter.motion` and export it.

    python -m export.starter.training.train_pose --work build/starter-pose --out engines/starter [--bank DIR]

The loss combines reconstruction of pose and speed with the Kullback-Leibler divergence of the latent variable. For
continuity, two consecutive blocks are generated, each continuing the generated motion before it, not the target's.
Resumes from the checkpoint in --work.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from engines.files import replacing
from export.starter.motion.conversations import ConversationMaker
from export.starter.motion.process import STYLES
from export.starter.training.pose_net import BLOCK, HEARD, LATENT, PAST, POSE, SCALE, PoseNet, export_pose
from streamer.stages.mel_windows import WindowShape

SHAPE = WindowShape(32, 3, True)  # the expression stage's windows
BLOCKS = 2  # consecutive blocks generated in training
BATCH = 32
SPEED_WEIGHT, BEND_WEIGHT = 12.0, 12.0  # of errors of speed and of its change, relative to errors of pose
DIVERGENCE = 0.0015  # weight of a nat, relative to the mean squared error of a value
WARM_UP = 400  # steps until the divergence has that weight
RATE = 1.5e-3
KEEP = 0.998  # share of the averaged weights kept per step
SAVE_EVERY = 250
MOST_GAIN = 2.2  # largest gain of calibration


@dataclass(frozen=True)
class MotionSet:
    """Many conversations; of each: heard [n, 80], poses [m, n, 6] scaled, movers [m]."""

    heard: list[Tensor]
    poses: list[Tensor]
    movers: list[Tensor]

    @classmethod
    def load(cls, path: Path) -> MotionSet:
        """Read a file written by `make`."""
        with np.load(path, allow_pickle=False) as file:
            count = int(file["count"])
            heard = [torch.from_numpy(file[f"heard_{i}"]).float() for i in range(count)]
            poses = [torch.from_numpy(file[f"poses_{i}"]) / torch.tensor(SCALE) for i in range(count)]
            movers = [torch.from_numpy(file[f"movers_{i}"]) for i in range(count)]
        return cls(heard, poses, movers)

    def batch(self, rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Draw heard [size, HEARD + (BLOCKS - 1) * BLOCK, 80], poses [size, PAST + BLOCKS * BLOCK, 6] and style.

        style is one-hot [size, STYLES]. A conversation is preceded by silence and a head at rest.
        """
        lengths = np.array([len(h) for h in self.heard])
        heard, poses, styles = [], [], []
        for which in rng.choice(len(lengths), size=size, p=lengths / lengths.sum()):
            mover = int(rng.integers(len(self.movers[which])))
            first = int(rng.integers(0, max(1, lengths[which] - BLOCKS * BLOCK)))
            if rng.random() < 0.05:
                first = 0
            heard.append(_span(self.heard[which], first - (HEARD - BLOCK), first + BLOCKS * BLOCK, -1.0))
            poses.append(_span(self.poses[which][mover], first - PAST, first + BLOCKS * BLOCK, 0.0))
            styles.append(int(self.movers[which][mover]))
        return torch.stack(heard), torch.stack(poses), F.one_hot(torch.tensor(styles), STYLES).float()


def _span(values: Tensor, first: int, stop: int, before: float) -> Tensor:
    inside = values[max(first, 0) : stop]
    head = torch.full((max(-first, 0), values.shape[1]), before)
    return torch.cat([head, inside, inside[-1:].expand(stop - max(first, 0) - len(inside), -1)])


def make(path: Path, count: int, movers: int, seed: int, bank: Path | None) -> None:
    """Write `count` conversations with `movers` people each, atomically."""
    maker = ConversationMaker(seed, SHAPE, bank)
    arrays: dict[str, NDArray[Any]] = {}
    for i in range(count):
        made = maker.make(movers)
        arrays |= {f"heard_{i}": made.heard, f"poses_{i}": made.poses, f"movers_{i}": made.movers}
    with replacing(path) as partial:
        np.savez(partial, count=np.array(count), **arrays)  # type: ignore[arg-type]


def loss_of(
    net: PoseNet, heard: Tensor, poses: Tensor, style: Tensor, divergence: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute a batch's loss (see `MotionSet.batch`), squared error of pose, and divergence in nats per block."""
    past, total = poses[:, :PAST], heard.new_zeros(())
    errors, nats, heard_features = [], [], net.ear(heard)
    for block in range(BLOCKS):
        features = heard_features[:, :, block * BLOCK : (block + 1) * BLOCK]
        meant = poses[:, PAST + block * BLOCK :][:, :BLOCK]
        known = net.known(style, past)
        mean, log_variance = net.encoder(meant, features, known)
        latent = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        made = net.decode(latent, features, known, past)
        joined, true = (
            torch.cat([past[:, -2:], made], 1),
            torch.cat([poses[:, PAST + block * BLOCK - 2 :][:, :2], meant], 1),
        )
        error = (made - meant).square().mean()
        speed = (joined.diff(dim=1) - true.diff(dim=1)).square().mean()
        bend = (joined.diff(n=2, dim=1) - true.diff(n=2, dim=1)).square().mean()
        nat = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        total = total + error + SPEED_WEIGHT * speed + BEND_WEIGHT * bend + divergence * nat
        errors.append(error.detach())
        nats.append(nat.detach())
        past = made[:, -PAST:]
    return total / BLOCKS, torch.stack(errors).mean(), torch.stack(nats).mean()


@torch.no_grad()
def calibrate(net: PoseNet, data: MotionSet, conversations: int, seed: int) -> None:
    """Set the network's gain and bias, so that each style has the mean pose and the speed of the parametric process: an
    uncertain network moves less than its targets."""
    generator = torch.Generator().manual_seed(seed)
    style = torch.eye(STYLES)
    made = []
    for heard in data.heard[:conversations]:
        blocks = len(heard) // BLOCK
        silence = torch.full((HEARD - BLOCK, heard.shape[1]), -1.0)
        features = net.ear(torch.cat([silence, heard[: blocks * BLOCK]])[None])
        past, track = torch.zeros(STYLES, PAST, POSE), []
        for block in range(blocks):
            latent = torch.randn(STYLES, LATENT, generator=generator)
            now = features[:, :, block * BLOCK : (block + 1) * BLOCK].expand(STYLES, -1, -1)
            track.append(net.guided(latent, now, net.known(style, past), past))
            past = track[-1][:, -PAST:]
        made.append(torch.cat(track, 1))
    for number in range(STYLES):
        meant = [p[m == number] for p, m in zip(data.poses, data.movers, strict=True) if (m == number).any()]
        wanted, found = _moments([t for tracks in meant for t in tracks]), _moments([track[number] for track in made])
        net.gain[number] = (wanted[1] / found[1]).clamp(0.5, MOST_GAIN)
        net.bias[number] = (wanted[0] - found[0] * net.gain[number]) * net.scale


def _moments(tracks: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Compute the mean and the root mean square speed of tracks [n, POSE]."""
    speed = torch.cat([track.diff(dim=0) for track in tracks]).square().mean(0).sqrt()
    return torch.cat(tracks).mean(0), speed


def train(data: MotionSet, checkpoint: Path, steps: int, seed: int) -> PoseNet:
    """Train up to `steps` in total; return the averaged weights."""
    torch.manual_seed(seed)
    net, average = PoseNet(), PoseNet()
    average.load_state_dict(net.state_dict())
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=1e-3)
    first = 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        net.load_state_dict(saved["net"])
        average.load_state_dict(saved["average"])
        optimiser.load_state_dict(saved["optimiser"])
        first = int(saved["step"])
    rng, began = np.random.default_rng([seed, first]), time.monotonic()
    for step in range(first + 1, steps + 1):
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, step / 100) * (0.02 + 0.49 * (1 + math.cos(math.pi * step / steps)))
        loss, error, nats = loss_of(net, *data.batch(rng, BATCH), DIVERGENCE * min(1.0, step / WARM_UP))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        with torch.no_grad():
            for ours, theirs in zip(average.parameters(), net.parameters(), strict=True):
                ours.lerp_(theirs, 1 - min(KEEP, step / (step + 20)))
        if step % 50 == 0:
            pace = (time.monotonic() - began) / (step - first)
            print(f"step {step}/{steps}  loss {loss.item():.4f}  pose {error.item():.4f}  {nats.item():.1f} nats  "
                  f"{pace:.2f} s a step", file=sys.stderr, flush=True)  # fmt: skip
        if step % SAVE_EVERY == 0 or step == steps:
            state = {"net": net.state_dict(), "average": average.state_dict(), "optimiser": optimiser.state_dict()}
            with replacing(checkpoint) as partial:
                torch.save({**state, "step": step}, partial)
    return average


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("build/starter-pose"), help="conversations and checkpoint")
    parser.add_argument("--out", type=Path, default=Path("engines/starter"), help="folder for pose.onnx")
    parser.add_argument("--bank", type=Path, help="neural voices that `voice_bank` made (default: none)")
    parser.add_argument("--conversations", type=int, default=260, help="of some 20 s (default: %(default)s)")
    parser.add_argument("--movers", type=int, default=10, help="people who move to each (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=2600, help="of training, in all (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.work.mkdir(parents=True, exist_ok=True)
    said = args.work / "conversations.npz"
    if not said.exists():
        make(said, args.conversations, args.movers, args.seed, args.bank)
    data = MotionSet.load(said)
    net = train(data, args.work / "checkpoint.pt", args.steps, args.seed)
    calibrate(net, data, 30, args.seed)
    export_pose(net, args.out / "pose.onnx")
    print(f"wrote {args.out / 'pose.onnx'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
