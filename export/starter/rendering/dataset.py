"""Render the generator's training set: many people, each once as a portrait and several times speaking.

    python -m export.starter.rendering.dataset --assets DIR --out DIR --minutes 30 --jobs 2

Shards are `.npz` files, each rendered in one go and never resumed; a new run with another seed adds shards to the
folder. About 90 kB a frame.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.files import replacing
from export.starter.rendering import scene
from export.starter.rendering.gl import Camera, Light, Renderer
from export.starter.rendering.look import Look
from export.starter.rendering.people import CHARACTERS
from export.starter.rendering.points import PointSet, choose_points
from export.starter.rendering.rig import Person, Rig

SIZE = 512  # twice the network's, and the resolution of its painted windows
FLOW_SIZE = 64
FLOW_STEP = 2 * SIZE // FLOW_SIZE  # the renderer's motion is at twice the picture's resolution
DRIVINGS = 12
PEOPLE_PER_SHARD = 8
JPEG_QUALITY = 95

PLAIN_RACES = {"caucasian": 0.4, "asian": 0.3, "african": 0.3}
PLAIN = Look(PLAIN_RACES, "female", {"young": 1.0}, "young_caucasian_female2", None)


@dataclass(frozen=True)
class Sample:
    """One picture with its ground truth."""

    picture: NDArray[np.uint8]  # [512, 512, 3] RGB
    keypoints: NDArray[np.float32]  # [K, 2] projected, x right, y down, -1..1
    flow: NDArray[np.float16]  # [64, 64, 2]: where the pixel's surface lies in the portrait, minus here
    parts: NDArray[np.uint8]  # [64, 64] part numbers, 0 background


def project(points: NDArray[np.float64], camera: Camera) -> NDArray[np.float32]:
    """Project world points [n, 3] to picture coordinates [n, 2], x right, y down, -1..1."""
    flat = camera.to_picture(points)
    depth = 1 - flat[:, 2:] * camera.half_extent / camera.distance
    return (flat[:, :2] / depth).astype(np.float32)


class Studio:
    """Draws portrait and speaking pictures of random people."""

    def __init__(self, assets: Path, seed: int) -> None:
        self.rig = Rig(assets)
        self.points: PointSet = choose_points(self.rig, Person(self.rig, PLAIN))
        self.renderer = Renderer(SIZE)
        self.rng = np.random.default_rng(seed)

    def person(self, look: Look | None = None) -> list[Sample]:
        """Render one person, random unless given: the portrait first, then the driving frames."""
        rng = self.rng
        person = Person(self.rig, look or scene.random_look(rng))
        camera, light = scene.random_camera(rng, person), scene.random_light(rng)
        background = scene.random_background(rng, 2 * SIZE)
        head = scene.source_pose(rng)
        source = person.pose(scene.portrait_expression(rng), head.rotation)
        samples = [self._draw(person, source, source, camera, light, background)]
        for _ in range(DRIVINGS):
            turned = scene.driving_pose(rng, head)
            posed = person.pose(scene.speaking_expression(rng), turned.rotation, turned.shift)
            samples.append(self._draw(person, posed, source, camera, light, background))
        return samples

    def _draw(
        self,
        person: Person,
        posed: dict[str, NDArray[np.float64]],
        source: dict[str, NDArray[np.float64]],
        camera: Camera,
        light: Light,
        background: NDArray[np.float32],
    ) -> Sample:
        picture, motion = self.renderer.draw(person, posed, source, camera, light, background)
        grid = motion[FLOW_STEP // 2 :: FLOW_STEP, FLOW_STEP // 2 :: FLOW_STEP]
        flow = (grid[..., :2] * (1, -1)).clip(-1, 1).astype(np.float16)
        keypoints = project(self.points.gather(person, posed), camera)
        return Sample(picture, keypoints, flow, grid[..., 2].astype(np.uint8))


def write_shard(path: Path, people: list[list[Sample]]) -> None:
    """Store people as one compressed-picture shard, atomically."""
    samples = [sample for person in people for sample in person]
    encoded = [
        cv2.imencode(".jpg", sample.picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].ravel()
        for sample in samples
    ]
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez(
            file,
            jpeg=np.concatenate(encoded),
            jpeg_ends=np.cumsum([len(data) for data in encoded]),
            keypoints=np.array([sample.keypoints for sample in samples]),
            flow=np.array([sample.flow for sample in samples]),
            parts=np.array([sample.parts for sample in samples]),
            person=np.repeat(np.arange(len(people)), [len(person) for person in people]),
        )


def render_for(assets: Path, out: Path, seed: int, minutes: float, bundled: bool) -> None:
    """Render shards in one process until the time is over: random people, or the bundled characters."""
    studio = Studio(assets, seed)
    start, shard, total = time.monotonic(), 0, 0
    while time.monotonic() - start < 60 * minutes:
        looks = [CHARACTERS[k % len(CHARACTERS)].look if bundled else None for k in range(PEOPLE_PER_SHARD)]
        people = [studio.person(look) for look in looks]
        write_shard(out / f"people-{seed:06d}-{shard:04d}.npz", people)
        shard += 1
        total += sum(map(len, people))
        rate = total / (time.monotonic() - start)
        print(f"seed {seed}: {total} pictures, {rate:.1f} a second", flush=True)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--assets", type=Path, required=True, help="folder of MakeHuman's CC0 assets")
    parser.add_argument("--out", type=Path, required=True, help="folder for the shards")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bundled", action="store_true", help="render the bundled characters instead of random people")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("LP_NUM_THREADS", "1")  # llvmpipe: one thread a process is faster than two sharing
    context = multiprocessing.get_context("spawn")
    jobs = [
        context.Process(
            target=render_for, args=(args.assets, args.out, args.seed * 1000 + job, args.minutes, args.bundled)
        )
        for job in range(args.jobs)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()


if __name__ == "__main__":
    main()
