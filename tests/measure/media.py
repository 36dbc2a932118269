"""Makes the moving picture of the README: the bundled characters speaking, as they are drawn for any session.

python -m tests.measure.media [--out docs/talking.webp] [--seconds 5]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from engines.manifest import Manifest
from streamer.audio.sound_file import read_sound
from streamer.core.frames import ByteArray
from streamer.core.options import FaceOptions, PipelineOptions
from streamer.core.rates import FPS
from streamer.pipeline import Avatar, Engines, Pipeline
from tests import DATA, ROOT

SIDE = 320  # pixels of each face
EVERY = 2  # frames: half the rate is enough for a page, and half the bytes
QUALITY = 62
LARGEST = 2 << 20  # bytes


def faces(engines: Engines, names: tuple[str, ...], seconds: float) -> list[ByteArray]:
    """Pictures of the characters side by side, each with another seed, speaking the same sound."""
    sound = np.concatenate(list(read_sound(DATA / "speech.ogg")))
    columns = []
    for seed, name in enumerate(names, start=3):
        pipeline = Pipeline(engines, Avatar.load(engines, name), PipelineOptions(seed=seed, face=FaceOptions(size=512)))
        frames = (pipeline.push(sound) + pipeline.flush())[: round(seconds * FPS) : EVERY]
        columns.append([Image.fromarray(frame.rgb).resize((SIDE, SIDE), Image.Resampling.LANCZOS) for frame in frames])
    return [np.concatenate([np.asarray(picture) for picture in row], 1) for row in zip(*columns, strict=True)]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "talking.webp")
    parser.add_argument("--seconds", type=float, default=5)
    args = parser.parse_args()
    manifest = Manifest.load(ROOT / "engines" / "starter")
    with Engines.open(manifest) as engines:
        first, *rest = [Image.fromarray(row) for row in faces(engines, manifest.avatars, args.seconds)]
    duration = 1000 * EVERY // FPS
    first.save(args.out, save_all=True, append_images=rest, duration=duration, loop=0, quality=QUALITY, method=6)
    size = args.out.stat().st_size
    if size > LARGEST:
        raise SystemExit(f"{args.out}: {size >> 10} kB, expected at most {LARGEST >> 10}: fewer --seconds")
    print(f"wrote {args.out}, {size >> 10} kB")


if __name__ == "__main__":
    main()
