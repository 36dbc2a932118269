"""Write `rig.npz`, the face rig in keypoints that `avatar prepare` fits to a photo's landmarks.

    python -m export.starter.assembly.face_rig --assets DIR --out engines/starter

The keypoints of many random persons give a mean face and its principal shapes (a morphable model of keypoints, after
Blanz & Vetter 1999); the face units' displacements come from the rig. The landmark model places a keypoint slightly
differently than the rig, for example at the edge of a lip or the jaw: this offset is measured on rendered persons.
Units: decimetres; x right, y down, z to the viewer; the origin lies between the eyes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.files import replacing
from export.starter.assembly.stages import WINDOW_HEIGHT, WINDOW_WIDTH
from export.starter.rendering import scene
from export.starter.rendering.dataset import PLAIN, SIZE, Studio, project
from export.starter.rendering.points import FACE_POINTS, PointSet
from export.starter.rendering.rig import Person
from streamer.vision.landmarks import Landmarker

FILE = "rig.npz"
PERSONS, SHAPES = 400, 40
RENDERED = 150
SEED = 11
Y_DOWN = np.array([1.0, -1.0, 1.0])
EXTENTS = (1.15, 1.30)  # decimetres, half the picture's width: tightest and usual; the generator's range is 1.1 to 1.5

Arrays = dict[str, NDArray[np.generic]]


def person_points(person: Person, points: PointSet) -> NDArray[np.float64]:
    """Compute neutral keypoints with the neck's pivot as the last row, [K + 1, 3]; origin between the eyes."""
    rows = np.concatenate([points.gather(person, person.neutral), person.neck[None]])
    return np.asarray((rows - person.eyes) * Y_DOWN)


def landmark_offsets(studio: Studio, count: int) -> NDArray[np.float64]:
    """Compute landmarks minus keypoints, [478, 3]: the median over `count` rendered persons."""
    landmarker = Landmarker()
    offsets = []
    for number in range(count):
        rng = studio.rng
        person = Person(studio.rig, scene.random_look(rng))
        camera, light = scene.random_camera(rng, person), scene.random_light(rng)
        head = scene.source_pose(rng)
        units = scene.speaking_expression(rng) if number % 3 else scene.portrait_expression(rng)
        posed = person.pose(units, head.rotation)
        background = scene.random_background(rng, 2 * SIZE)
        picture, _ = studio.renderer.draw(person, posed, posed, camera, light, background)
        faces = landmarker.find(picture)
        if len(faces) != 1:
            continue
        true = project(studio.points.gather(person, posed), camera)[:FACE_POINTS]
        seen = faces[0].points[:, :2] * (2 / SIZE) - 1
        flat = np.concatenate([(seen - true) * camera.half_extent, np.zeros((FACE_POINTS, 1))], 1)
        offsets.append((flat * Y_DOWN @ head.rotation) * Y_DOWN)  # to the head's coordinates
    median = np.median(offsets, axis=0)
    median[:, 2] = 0.0
    return np.asarray(median)


def build(assets: Path) -> Arrays:
    """Compute the arrays of `rig.npz`: see streamer.photo.rig_fit.FaceRig."""
    studio = Studio(assets, SEED)
    rig, points = studio.rig, studio.points
    plain = Person(rig, PLAIN)
    rng = np.random.default_rng(SEED)
    people = np.stack([person_points(Person(rig, scene.random_look(rng)), points) for _ in range(PERSONS)])
    mean = people.mean(0)
    _, lengths, axes = np.linalg.svd((people - mean).reshape(PERSONS, -1), full_matrices=False)
    shapes = (axes[:SHAPES] * (lengths[:SHAPES, None] / np.sqrt(PERSONS - 1))).reshape(SHAPES, *mean.shape)
    at_rest = points.gather(plain, plain.neutral)
    units = [points.gather(plain, plain.express({name: 1.0})) - at_rest for name in sorted(rig.units)]
    return {
        "mean": mean[:-1].astype(np.float32),
        "landmarks": landmark_offsets(studio, RENDERED).astype(np.float32),
        "shapes": shapes[:, :-1].astype(np.float16),
        "units": (np.stack(units) * Y_DOWN).astype(np.float16),
        "rigidity": points.gather_scalar(plain.rigidity).astype(np.float32),
        "pivot": mean[-1].astype(np.float32),
        "pivot_shapes": shapes[:, -1].astype(np.float32),
        "extents": np.array(EXTENTS, np.float32),
        "window": np.array([WINDOW_HEIGHT, WINDOW_WIDTH], np.float32),
    }


def write(assets: Path, folder: Path) -> Path:
    """Write `rig.npz` into the folder, atomically, and return its path."""
    path = folder / FILE
    with replacing(path) as partial:
        np.savez_compressed(partial, **build(assets))  # type: ignore[arg-type]
    return path


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--assets", type=Path, required=True, help="folder of MakeHuman's CC0 assets")
    parser.add_argument("--out", type=Path, required=True, help="the family's folder")
    args = parser.parse_args()
    path = write(args.assets, args.out)
    print(f"wrote {path}, {path.stat().st_size >> 10} KiB")


if __name__ == "__main__":
    main()
