"""Train the lip expert, which matches sound and lips, on synthetic voices and face rigs.

    python -m export.starter.training.train_lip_expert --speech DIR --held-out DIR

Both folders contain shards of takes (`train_expression` makes them in its --work: speech-*, and held-out-* with other
voices). The lips' motion is computed from the phones, on the rig of one bundled character with varied face and manner;
the other character's rig is held out together with the voices. The contrastive loss distinguishes moments of the same
take, so that timing matters and not the speaker. Prints the accuracy on the held-out data.
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
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from engines import SHIPPED_FAMILY
from engines.files import replacing
from export.starter.rendering.face_units import FACE_UNITS
from export.starter.training.expression_data import WindowSet, vary_features
from export.starter.voices.visemes import FIELDS, units, unsided
from streamer.core.rates import MEL_BANDS
from streamer.vision.lip_expert import BANDS, EARS, EYES, FRAMES, LATEST, SLOTS, WEIGHTS, LipExpert, about, pooled
from streamer.vision.lip_shapes import ANCHORS, LIPS, WIDTH, lip_shapes

FACE, HELD_OUT_FACE = "mina", "kofi"
HIDDEN, VECTOR = 192, 64
TAKES, MOMENTS = 24, 16  # per batch: runs of consecutive frames, and frames taken from each
RUN = 75  # frames of a run
HEAT = 0.07
NOISE = 0.012  # largest noise of landmarks, in eye distances


class Half(nn.Sequential):
    """Linear layers with ReLU between; `vectors` returns their output normalised to unit length."""

    def __init__(self, inputs: int) -> None:
        super().__init__(
            nn.Linear(inputs, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, VECTOR)
        )

    def vectors(self, x: Tensor) -> Tensor:
        """Compute unit vectors, [..., inputs] -> [..., VECTOR]."""
        return F.normalize(self(x), dim=-1)


class Lips:
    """Lip shapes of a character for viseme fields, with a random face and manner, or its own."""

    def __init__(self, name: str) -> None:
        with np.load(SHIPPED_FAMILY / "avatars" / name / "arrays.npz", allow_pickle=False) as arrays:
            self._neutral, self._basis = arrays["neutral"][:478], arrays["basis"][:, :478]

    def shapes(self, fields: NDArray[np.float32], rng: np.random.Generator | None) -> NDArray[np.float32]:
        """Convert fields [n, len(FIELDS)] of consecutive frames to shapes [n, WIDTH]. rng: None for its own face."""
        given = units({name: fields[:, i] for i, name in enumerate(FIELDS)})
        weights = np.stack([np.broadcast_to(given.get(unsided(name), 0.0), len(fields)) for name in FACE_UNITS], axis=1)
        padded = np.pad(weights, ((1, 1), (0, 0)), mode="edge")
        weights = 0.2 * padded[:-2] + 0.6 * padded[1:-1] + 0.2 * padded[2:]  # as the motion stage smooths
        chosen = [*ANCHORS, *LIPS]
        neutral, basis = self._neutral[chosen], self._basis[:, chosen]
        if rng is not None:
            weights = weights * rng.uniform(0.6, 1.3) * rng.uniform(0.75, 1.25, (1, weights.shape[1]))
            stretch = rng.uniform(0.85, 1.15, 3)
            neutral, basis = neutral * stretch, basis * stretch * rng.uniform(0.9, 1.1, (1, basis.shape[1], 1))
        small = neutral + np.einsum("nu,ukc->nkc", weights, basis)
        points = np.zeros((len(fields), 478, 2), np.float32)
        points[:, chosen] = small[..., :2]
        if rng is not None:
            eyes = float(np.linalg.norm(self._neutral[33] - self._neutral[263]))
            points += rng.normal(0, eyes * NOISE * rng.random(), points.shape).astype(np.float32)
        return lip_shapes(points)


@dataclass(frozen=True)
class Pairs:
    """Sounds [n, BANDS * SLOTS] and lips [n, FRAMES * WIDTH] of the same frames, and the frames' take numbers [n]."""

    sounds: Tensor
    lips: Tensor
    take: NDArray[np.int64]

    @classmethod
    def of(cls, shards: list[Path], lips: Lips, rng: np.random.Generator) -> Pairs:
        """Read each take once, with varied voice and face."""
        sounds: list[Tensor] = []
        faces: list[Tensor] = []
        numbers: list[NDArray[np.int64]] = []
        for shard in shards:
            data = WindowSet([shard])
            for number in np.unique(data.take):
                frames = torch.from_numpy(np.flatnonzero(data.take == number))
                mel, fields = data.windows(frames)
                joined = mel[:, 0].transpose(0, 1).reshape(1, 1, MEL_BANDS, -1)  # one voice, one room
                varied = vary_features(joined).reshape(MEL_BANDS, len(frames), -1).transpose(0, 1)[:, None]
                sounds.append(torch.from_numpy(pooled(varied.numpy())).half())
                faces.append(torch.from_numpy(about(lips.shapes(fields.numpy(), rng))).half())
                numbers.append(np.full(len(frames), len(numbers)))
        return cls(torch.cat(sounds), torch.cat(faces), np.concatenate(numbers))

    def batches(self, rng: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield endless batches: sounds and lips [TAKES, MOMENTS, ...] of moments within RUN frames of each other."""
        whole = np.flatnonzero(self.take[: len(self.take) - RUN + 1] == self.take[RUN - 1 :])
        while True:
            first = rng.choice(whole, (TAKES, 1))
            at = torch.from_numpy(first + np.stack([rng.choice(RUN, MOMENTS, replace=False) for _ in range(TAKES)]))
            yield self.sounds[at].float(), self.lips[at].float()


def loss_of(heard: Tensor, seen: Tensor) -> Tensor:
    """Compute the contrastive loss over the moments of each take, both ways; vectors [TAKES, MOMENTS, VECTOR]."""
    alike = torch.einsum("tmv,tnv->tmn", heard, seen) / HEAT
    right = torch.arange(alike.shape[1]).expand(len(alike), -1)
    return F.cross_entropy(alike.flatten(0, 1), right.flatten()) + F.cross_entropy(
        alike.transpose(1, 2).flatten(0, 1), right.flatten()
    )


def accuracy(expert: LipExpert, data: WindowSet, lips: Lips, seed: int = 5) -> dict[str, float]:
    """Measure on six-second runs how often one window, and how often a second of them, is nearer to its own lips than
    to lips 5 to 15 frames later, and how often the offset of shifted lips is found within one frame."""
    rng = np.random.default_rng(seed)
    whole = np.flatnonzero(data.take[: len(data) - 2 * RUN + 1] == data.take[2 * RUN - 1 :])
    one, second, found = [], [], []
    for first in rng.choice(whole, 120):
        mel, fields = data.windows(torch.arange(int(first), int(first) + 2 * RUN))
        if float(fields[:, FIELDS.index("rest")].mean()) > 0.6:  # hardly any speech
            continue
        shapes, windows = lips.shapes(fields.numpy(), None), mel.numpy()
        heard, seen = expert.hear(windows), expert.see(shapes)
        off = int(rng.integers(5, LATEST + 1))
        right = np.linalg.norm(heard[:-off] - seen[:-off], axis=1)
        wrong = np.linalg.norm(heard[:-off] - seen[off:], axis=1)
        said = fields[: len(right), FIELDS.index("rest")].numpy() < 0.5
        one += list((right < wrong)[said])
        second += [right[i : i + 25].mean() < wrong[i : i + 25].mean() for i in range(0, len(right) - 25, 25)]
        moved = int(rng.integers(-10, 11))
        found.append(abs(expert.judge(windows, np.roll(shapes, moved, axis=0)).offset_ms - 40 * moved) <= 40)
    return {"window": float(np.mean(one)), "second": float(np.mean(second)), "offset": float(np.mean(found))}


def save(path: Path, ears: Half, eyes: Half) -> None:
    """Write the weights for `LipExpert.load`, in float16, atomically."""
    arrays: dict[str, NDArray[np.float16]] = {}
    for name, half in ((EARS, ears), (EYES, eyes)):
        layers = [layer for layer in half if isinstance(layer, nn.Linear)]
        arrays[name] = np.array(len(layers))  # type: ignore[assignment]
        for k, layer in enumerate(layers):
            arrays[f"{name}{k}.weight"] = layer.weight.detach().T.half().numpy()
            arrays[f"{name}{k}.bias"] = layer.bias.detach().half().numpy()
    with replacing(path) as partial:
        np.savez_compressed(partial, **arrays)  # type: ignore[arg-type]


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--speech", type=Path, nargs="+", required=True, help="folders of shards to learn from")
    parser.add_argument("--held-out", type=Path, nargs="+", required=True, help="folders of shards of other voices")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    rng, lips = np.random.default_rng(args.seed), Lips(FACE)
    shards = [path for folder in args.speech for path in sorted(folder.glob("*.npz"))]
    batches = Pairs.of(shards, lips, rng).batches(rng)
    ears, eyes = Half(BANDS * SLOTS), Half(FRAMES * WIDTH)
    optimiser = torch.optim.AdamW([*ears.parameters(), *eyes.parameters()], 2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, args.steps)
    began = time.monotonic()
    for step in range(1, args.steps + 1):
        sounds, faces = next(batches)
        loss = loss_of(ears.vectors(sounds), eyes.vectors(faces))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if step % 50 == 0:
            pace = (time.monotonic() - began) / step
            print(f"step {step}/{args.steps}  loss {loss.item():.3f}  {pace:.2f} s a step", file=sys.stderr, flush=True)
        if step == args.steps:
            save(args.out, ears, eyes)
    expert, other = LipExpert.load(args.out), WindowSet([p for f in args.held_out for p in sorted(f.glob("*.npz"))])
    for name, voices, face in (("known", WindowSet(shards[:1]), FACE), ("held-out voices, known face", other, FACE),
                               ("held-out voices and face", other, HELD_OUT_FACE)):  # fmt: skip
        print(f"{name}: " + "  ".join(f"{k} {v:.3f}" for k, v in accuracy(expert, voices, Lips(face)).items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
