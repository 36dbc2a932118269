"""Make training takes in several processes, store them on disk, and serve runs of consecutive windows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines.files import replacing
from export.starter.training.expression_net import AHEAD, WINDOW
from export.starter.voices.shards import make_all
from export.starter.voices.speech import Phone
from export.starter.voices.takes import Take, TakeMaker
from export.starter.voices.visemes import FIELDS
from export.starter.voices.voice_bank import VoiceBank
from streamer.core.rates import FPS, MEL_BANDS, WINDOW_MEL_FRAMES, window_start
from streamer.stages.mel_levelling import levelled

SHARD_MINUTES = 5
EDGE = 2 * WINDOW_MEL_FRAMES  # mel frames repeated at both ends of a take, so that windows need no clamping
PAST = WINDOW - WINDOW_MEL_FRAMES - AHEAD
CLOSE_WEIGHTS = {
    "contact": 1.6,
    "tuck": 1.6,
    "jaw": 2.0,
    "pucker": 1.5,
    "funnel": 1.5,
    "tongue": 3.0,
    "smile": 0.6,
}  # 1 for the other fields


def make_shard(path: Path, seed: int, held_out: bool, clean: bool, bank: Path | None) -> Path:
    """Write one shard of about SHARD_MINUTES: mel and phones, see `read_shard`.

    Levelled features and mouth shapes are computed on reading, so a change of their rules needs no new speech.
    """
    maker = TakeMaker(seed, held_out, clean, VoiceBank(bank) if bank else None)
    takes, frames = [], 0
    while frames < SHARD_MINUTES * 60 * FPS:
        takes.append(maker.make())
        frames += takes[-1].frames
    write_shard(path, takes)
    return path


def write_shard(path: Path, takes: Sequence[Take]) -> None:
    """Write takes to a file atomically: mel [t, 80] of all, and the phones of each as JSON."""
    said = [
        {"mel_frames": len(take.mel), "frames": take.frames, "effort": list(take.effort),
         "phones": [astuple(phone) for phone in take.phones]}
        for take in takes
    ]  # fmt: skip
    with replacing(path) as partial:
        np.savez(partial, mel=np.concatenate([take.mel for take in takes]), said=np.array(json.dumps(said)))


def read_shard(path: Path) -> Iterator[Take]:
    """Read the takes of a file written by `write_shard`."""
    with np.load(path, allow_pickle=False) as shard:
        mel, said = shard["mel"], json.loads(str(shard["said"]))
    at = 0
    for entry in said:
        phones = [Phone(*phone) for phone in entry["phones"]]
        yield Take(mel[at : at + entry["mel_frames"]], phones, entry["effort"], entry["frames"])
        at += entry["mel_frames"]


def make_shards(
    folder: Path,
    minutes: int,
    seed: int,
    held_out: bool = False,
    clean: bool = False,
    bank: Path | None = None,
    workers: int = 2,
) -> list[Path]:
    """Make all shards of a set; existing ones are kept. Shows progress on standard error."""
    count = -(-minutes // SHARD_MINUTES)
    return make_all(make_shard, folder, count, seed, (held_out, clean, bank), workers)


class WindowSet:
    """Windows of many takes in memory: mel [t, 80], levelled, and, for each video frame, where its window starts."""

    def __init__(self, shards: list[Path]) -> None:
        mels, fields, starts, takes = [], [], [], []
        at = 0
        for number, take in enumerate(take for path in shards for take in read_shard(path)):
            heard = levelled(take.mel.astype(np.float32)).astype(np.float16)
            mels.append(np.pad(heard, ((EDGE, EDGE), (0, 0)), mode="edge"))
            fields.append(take.fields())
            starts.append(np.array([window_start(i) for i in range(take.frames)]) + at + EDGE - PAST)
            takes.append(np.full(take.frames, number))
            at += len(mels[-1])
        self._mel = torch.from_numpy(np.concatenate(mels))
        self._fields = torch.from_numpy(np.concatenate(fields))
        self._starts = torch.from_numpy(np.concatenate(starts))
        self.take = np.concatenate(takes)

    def __len__(self) -> int:
        return len(self._starts)

    def windows(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return mel [n, 1, 80, WINDOW] and fields [n, len(FIELDS)], float32, of frame numbers [n]."""
        spans = self._starts[frames][:, None] + torch.arange(WINDOW)
        return self._mel[spans].float().transpose(1, 2)[:, None], self._fields[frames].float()

    def stretch(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return mel [n, 1, 80, t] that spans the windows of consecutive frames [n, run], and starts and fields.

        Starts [n, run] are each window's place in the mel; fields are [n, run, len(FIELDS)].
        """
        starts = self._starts[frames]
        first = starts[:, :1]
        length = int((starts - first).max()) + WINDOW
        spans = (first + torch.arange(length)).clamp(max=len(self._mel) - 1)
        return self._mel[spans].float().transpose(1, 2)[:, None], starts - first, self._fields[frames].float()

    def runs(self, rng: np.random.Generator, runs: int, length: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield endless batches of `runs` random stretches of `length` consecutive frames, each within one take."""
        first: NDArray[np.int64] = np.flatnonzero(self.take[: len(self) - length + 1] == self.take[length - 1 :])
        while True:
            order = rng.permutation(first)
            for index in range(0, len(order) - runs + 1, runs):
                frames = order[index : index + runs, None] + np.arange(length)
                yield self.stretch(torch.from_numpy(frames))
                if index > len(order) // length:  # neighbours overlap: after this many runs every frame was seen once
                    break


def vary_features(mel: Tensor) -> Tensor:
    """Augment levelled mel stretches [n, 1, 80, t]: speaker, microphone, room, lost bands.

    This partly compensates for the small number of synthetic voices. 8 units of the features are 100 dB.
    """
    x = _warp_bands(mel)
    runs, ramp = len(x), torch.linspace(-1, 1, MEL_BANDS)
    colour = torch.nn.functional.interpolate(_spread(runs, 1, 7) * 0.6, MEL_BANDS, mode="linear", align_corners=True)
    level = _spread(runs, 1) * 0.3 + _spread(runs, 1) * 0.5 * ramp + colour[:, 0] * torch.rand(runs, 1)
    louder = ((x + 4) * (1 + _spread(runs, 1, 1, 1) * 0.12) - 4 + level[:, None, :, None]).clamp(-4, 4)
    x = torch.where(x <= -3.99, x, louder)  # values at the floor stay there
    hiss = 3 * torch.rand(runs, 1, 1, 1) - 4 + _spread(runs, 1, 1, 1) * 0.7 * ramp[:, None] + 0.2 * torch.randn_like(x)
    x = torch.where(torch.rand(runs, 1, 1, 1) < 0.2, torch.maximum(x, hiss.clamp(-4, 4)), x)
    return _lose_bands(x)


def _spread(*shape: int) -> Tensor:
    return torch.rand(shape) * 2 - 1


def _warp_bands(x: Tensor) -> Tensor:
    """Shift resonances by up to 10 % and two bands, like another vocal tract; x [runs, run, band, time]."""
    runs, run, bands, _ = x.shape
    at = (torch.arange(bands) + 0.5) * (1 + _spread(runs, 1) * 0.1) + _spread(runs, 1) * 2 - 0.5
    at = at.clamp(0, bands - 1)
    below = at.floor().long().clamp(max=bands - 2)
    share = (at - below)[:, None, :, None]
    index = below[:, None, :, None].expand(-1, run, -1, x.shape[3])
    return x.gather(2, index) * (1 - share) + x.gather(2, index + 1) * share


def _lose_bands(x: Tensor, widest: int = 14) -> Tensor:
    """Mask up to `widest` neighbouring bands in two runs of five."""
    runs, _, bands, _ = x.shape
    width, first = (torch.rand(runs, 1) * widest).long(), (torch.rand(runs, 1) * (bands - widest)).long()
    band = torch.arange(bands)
    lost = (band >= first) & (band < first + width) & (torch.rand(runs, 1) < 0.4)
    return torch.where(lost[:, None, :, None], x.mean(dim=2, keepdim=True), x)


def field_weights() -> Tensor:
    """Return each field's weight in the loss, [len(FIELDS)]."""
    return torch.tensor([CLOSE_WEIGHTS.get(name, 1.0) for name in FIELDS])
