"""Make training batches for the generator: pairs of pictures of one person with the same augmentation."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from export.starter.rendering.points import INNER_LIPS, LEFT_EYE, RIGHT_EYE
from export.starter.training.generator import FINE, SIZE
from streamer.avatar.condition_maps import ConditionRasterizer

WINDOW = 96  # side of the window painted in training, in pixels of the network's picture
WINDOW_STEP = 8
QUEUE_BATCHES = 6
OTHER_SOURCE = 0.1  # probability that the source is another picture of the person than the portrait
SAME_PICTURE = 0.06  # probability that the target is the source itself: a face at rest must equal its photo

Bytes = NDArray[np.uint8]
Floats32 = NDArray[np.float32]


@dataclass(frozen=True)
class Batch:
    """Batch in uint8. The source is [B, 3, 512, 512], conditions [B, 7, 256, 256]; flows and parts are the target's."""

    source: Tensor
    target: Tensor  # the window only, [B, 3, FINE h, FINE w]
    source_conditions: Tensor
    target_conditions: Tensor
    source_points: Tensor  # [B, K, 2]
    target_points: Tensor
    flow: Tensor  # [B, 2, 64, 64]
    parts: Tensor  # [B, 1, 64, 64]
    has_flow: Tensor  # [B]
    windows: list[tuple[int, int]]

    def to(self, device: torch.device) -> Batch:
        """Copy the batch to a device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """Copy the batch to page-locked memory; called by torch's DataLoader."""
        return self._each(lambda tensor: tensor.pin_memory())

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        changed: dict[str, Any] = {
            name: change(value) if isinstance(value, Tensor) else value for name, value in self.__dict__.items()
        }
        return Batch(**changed)


class People:
    """All shards of a folder, pictures compressed, grouped by person with the portrait first."""

    def __init__(self, folder: Path) -> None:
        """Raises FileNotFoundError if the folder has no shard."""
        paths = sorted(folder.glob("people-*.npz"))
        if not paths:
            raise FileNotFoundError(
                f"no people-*.npz in {folder}: render them with python -m export.starter.rendering.dataset"
            )
        self._jpegs: list[Bytes] = []
        tables: dict[str, list[NDArray[np.generic]]] = {"keypoints": [], "flow": [], "parts": []}
        self.people: list[NDArray[np.int64]] = []
        for path in paths:
            with np.load(path, allow_pickle=False) as shard:
                first = len(self._jpegs)
                self._jpegs += np.split(shard["jpeg"], shard["jpeg_ends"][:-1])
                for name, table in tables.items():
                    table.append(shard[name])
                owner = shard["person"]
                self.people += [first + np.flatnonzero(owner == number) for number in np.unique(owner)]
        self.keypoints: Floats32 = np.concatenate(tables["keypoints"]).astype(np.float32)
        self.flow = np.concatenate(tables["flow"])
        self.parts: Bytes = np.concatenate(tables["parts"]).astype(np.uint8)

    def __len__(self) -> int:
        return len(self._jpegs)

    def picture(self, index: int) -> Bytes:
        """Decode one picture, [512, 512, 3] RGB."""
        decoded = cv2.imdecode(self._jpegs[index], cv2.IMREAD_COLOR)
        if decoded is None:
            raise ValueError(f"picture {index} of the shards is damaged: render them again")
        return np.asarray(decoded[..., ::-1], np.uint8)


@dataclass(frozen=True)
class _Affine:
    """One random rotation, scale and shift for both pictures of a pair, in -1..1 coordinates."""

    matrix: NDArray[np.float64]
    shift: NDArray[np.float64]

    @classmethod
    def random(cls, rng: np.random.Generator) -> _Affine:
        angle = np.radians(rng.normal() * 4)
        scale = np.diag(np.exp(rng.normal(size=2) * 0.05) * rng.uniform(0.88, 1.22))
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return cls(turn @ scale, rng.normal(size=2) * 0.05)

    def image(
        self,
        image: NDArray[Any],
        nearest: bool = False,
        constant: bool = False,
        corner: tuple[int, int] = (0, 0),
        side: int | None = None,
    ) -> NDArray[Any]:
        """Transform the image; return a square of `side` pixels at `corner` (top, left), by default all of it."""
        size = image.shape[0]
        middle = np.array([(size - 1) / 2] * 2)
        offset = middle - self.matrix @ middle + self.shift * size / 2 - corner[::-1]
        table = np.concatenate([self.matrix, offset[:, None]], 1).astype(np.float32)
        border = cv2.BORDER_CONSTANT if constant else cv2.BORDER_REFLECT_101
        flags = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
        return np.asarray(cv2.warpAffine(image, table, (side or size,) * 2, flags=flags, borderMode=border))

    def points(self, points: Floats32) -> Floats32:
        return (points @ self.matrix.T + self.shift).astype(np.float32)


def photographic(pair: Sequence[Bytes], rng: np.random.Generator) -> list[Bytes]:
    """Apply the same random camera to both: exposure, contrast, colour, blur, noise, compression."""
    tint = rng.choice([0.12, 0.25, 0.6], p=[0.6, 0.32, 0.08])  # the last for unreal skin colours, as in paintings
    contrast, gains = (
        np.exp(rng.normal() * 0.25),
        np.exp(rng.normal() * 0.18 - 0.08) * np.exp(rng.normal(size=3) * tint),
    )
    levels = np.linspace(0, 1, 256)[:, None] ** contrast * gains  # lookup table: powers per pixel cost ten times more
    saturation = 0.0 if rng.random() < 0.06 else np.exp(rng.normal() * 0.3)
    mixing = saturation * np.eye(3) + (1 - saturation) / 3
    table = levels.astype(np.float32)[None]
    shots = [cv2.transform(cv2.LUT(picture, table), mixing.astype(np.float32)) for picture in pair]
    if rng.random() < 0.2:
        sigma = FINE * rng.uniform(0.3, 1.0)
        shots = [cv2.GaussianBlur(shot, (0, 0), sigma) for shot in shots]
    if rng.random() < 0.15:
        noise = np.float32(rng.uniform(0.005, 0.02))
        shots = [shot + rng.standard_normal((*shot.shape[:2], 1), np.float32) * noise for shot in shots]
    pictures = [np.asarray(shot.clip(0, 1) * 255, np.uint8) for shot in shots]
    if rng.random() < 0.15:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(45, 92))]
        pictures = [np.asarray(cv2.imdecode(cv2.imencode(".jpg", p, quality)[1], 1), np.uint8) for p in pictures]
    return pictures


def choose_window(points: Floats32, extent: int, rng: np.random.Generator) -> tuple[int, int]:
    """Choose the window to decode: around the mouth or an eye, sometimes anywhere."""
    kind = rng.random()
    if kind < 0.5:
        middle = points[list(INNER_LIPS)].mean(0)
    elif kind < 0.9:
        middle = points[list(RIGHT_EYE if rng.random() < 0.5 else LEFT_EYE)].mean(0)
    else:
        middle = rng.uniform(-0.8, 0.8, 2)
    corner = (middle + 1) * SIZE / 2 - extent / 2 + rng.normal(size=2) * 10
    left, top = np.clip(np.round(corner / WINDOW_STEP) * WINDOW_STEP, 0, SIZE - extent).astype(int)
    return int(top), int(left)


class BatchMaker:
    """Draws random pairs, with a window of `extent` pixels a side in the network's picture."""

    def __init__(
        self,
        people: People,
        held_out: int,
        rasterizer: ConditionRasterizer,
        size: int,
        seed: int,
        extent: int = WINDOW,
    ) -> None:
        self._people = people
        self._extent = extent
        self._trained = people.people[held_out:]
        self._rasterizer = rasterizer
        self._size = size
        self._rng = np.random.default_rng(seed)

    def keep(self, held_out: int) -> None:
        """Draw only from the first `held_out` people, which are held out of training."""
        self._trained = self._people.people[:held_out]

    def reseed(self, seed: int) -> None:
        """Restart the random generator with another seed."""
        self._rng = np.random.default_rng(seed)

    def batches(self) -> Iterator[Batch]:
        """Yield endless batches made in a thread (OpenCV releases the GIL).

        Raises:
            queue.Empty: no batch was made within a minute.
        """
        made: queue.Queue[Batch] = queue.Queue(QUEUE_BATCHES)

        def run() -> None:
            while True:
                made.put(self.batch())

        threading.Thread(target=run, daemon=True).start()
        while True:
            yield made.get(timeout=60)

    def batches_by(self, jobs: int) -> Iterator[Batch]:
        """Yield endless batches made by several processes."""
        stream = _BatchStream(self)
        loader: DataLoader[Batch] = DataLoader(
            stream, batch_size=None, num_workers=jobs, pin_memory=torch.cuda.is_available(), prefetch_factor=3
        )
        return iter(loader)

    def batch(self) -> Batch:
        """Make the next batch."""
        samples = [self._sample() for _ in range(self._size)]
        columns = list(zip(*samples, strict=True))

        def images(column: int) -> Tensor:
            stacked = torch.from_numpy(np.stack(columns[column]))
            return stacked.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)

        def arrays(column: int) -> Tensor:
            return torch.from_numpy(np.stack(columns[column]))

        return Batch(
            source=images(0),
            target=images(1),
            source_conditions=images(2),
            target_conditions=images(3),
            source_points=arrays(4),
            target_points=arrays(5),
            flow=images(6),
            parts=arrays(7)[:, None],
            has_flow=torch.tensor(columns[8], dtype=torch.float32),
            windows=list(columns[9]),
        )

    def _sample(self) -> tuple[object, ...]:
        rng, people = self._rng, self._people
        pictures = self._trained[rng.integers(len(self._trained))]
        target = int(pictures[rng.integers(1, len(pictures))])
        source = int(pictures[0] if rng.random() > OTHER_SOURCE else rng.choice(pictures))
        if rng.random() < SAME_PICTURE:
            target = source
        move = _Affine.random(rng)
        source_points = move.points(people.keypoints[source])
        target_points = move.points(people.keypoints[target])
        if rng.random() < 0.5:  # a photo's landmarks are inexact, but the rig's motion added to them is exact
            error = rng.normal(size=source_points.shape).astype(np.float32) * 0.003
            source_points, target_points = source_points + error, target_points + error
        flow = move.image(people.flow[target].astype(np.float32)) @ move.matrix.T.astype(np.float32)
        parts = move.image(people.parts[target], nearest=True, constant=True)
        maps = [self._rasterizer.draw_bytes(p).transpose(1, 2, 0) for p in (source_points, target_points)]
        has_flow = float(source == pictures[0])
        window = choose_window(target_points, self._extent, rng)
        corner = (FINE * window[0], FINE * window[1])
        wanted = move.image(people.picture(target), corner=corner, side=FINE * self._extent)
        shot, shot_target = photographic([move.image(people.picture(source)), wanted], rng)
        return (shot, shot_target, *maps, source_points, target_points, flow, parts, has_flow, window)


class _BatchStream(IterableDataset[Batch]):
    """Iterate over a maker's batches in DataLoader processes, each with its own seed."""

    def __init__(self, maker: BatchMaker) -> None:
        self._maker = maker

    def __iter__(self) -> Iterator[Batch]:
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        self._maker.reseed(torch.initial_seed() % (1 << 63))
        while True:
            yield self._maker.batch()
