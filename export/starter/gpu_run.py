"""Train the generator on a machine with a GPU in one run: render people by EGL, then train on them.

    python -m export.starter.gpu_run --assets DIR --out DIR --render-seconds 150 --train-seconds 330

It starts from the released weights (or --from-scratch) and writes OUT/generator.npz, and OUT/held-out.jpg: held-out
people, each as portrait, ground truth and result.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import torch

from export.starter.rendering.rig import Rig
from export.starter.training.batches import BatchMaker, People
from export.starter.training.generator import SIZE, Generator, render_windows
from export.starter.training.train_generator import HELD_OUT, new_state, plain_rasterizer, unpack
from export.starter.training.weights import load_weights, save_weights

RELEASED = Path(__file__).parent / "data" / "generator.npz"
CRITIC_SHARE = 0.6  # of the training time
BATCH = 64
SHEET_ROWS, SHEET_COLUMNS = 8, 3


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--assets", type=Path, required=True, help="folder of MakeHuman's CC0 assets")
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights and the sheet")
    parser.add_argument("--work", type=Path, default=Path("build/starter"), help="pictures and checkpoint")
    parser.add_argument("--render-seconds", type=float, default=150)
    parser.add_argument("--train-seconds", type=float, default=330)
    parser.add_argument("--jobs", type=int, default=14, help="processes that render, and that make batches")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--from-scratch", action="store_true", help="do not begin with the released weights")
    args = parser.parse_args()
    pictures, checkpoint = args.work / "pictures", args.work / "generator.pt"
    assets, jobs, minutes = ("--assets", args.assets), ("--jobs", args.jobs), args.train_seconds / 60
    if not pictures.is_dir():
        _run("rendering.dataset", *assets, "--out", pictures, "--minutes", args.render_seconds / 60, *jobs)
    start = () if args.from_scratch else ("--start", RELEASED)
    critic = ("--critic-minutes", minutes * CRITIC_SHARE)
    where = ("--device", args.device, "--batch", BATCH, "--out", checkpoint)
    _run("training.train_generator", *assets, "--data", pictures, "--minutes", minutes, *critic, *jobs, *where, *start)
    args.out.mkdir(parents=True, exist_ok=True)
    state = new_state(None, torch.device("cpu"))
    state.load(checkpoint)
    save_weights(args.out / "generator.npz", state.average)
    maker = BatchMaker(People(pictures), 0, plain_rasterizer(Rig(args.assets)), SHEET_ROWS * SHEET_COLUMNS, 7, SIZE)
    maker.keep(HELD_OUT)
    model = Generator()
    load_weights(args.out / "generator.npz", model)
    cv2.imwrite(str(args.out / "held-out.jpg"), sheet(model.eval(), maker)[..., ::-1])
    return 0


def _run(module: str, *arguments: object) -> None:
    command = [sys.executable, "-m", f"export.starter.{module}", *map(str, arguments)]
    subprocess.run(command, check=True)


@torch.no_grad()
def sheet(model: Generator, maker: BatchMaker) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return a sheet of pairs drawn by `maker`: source, target and painting, uint8 [rows, columns, 3] RGB."""
    batch = maker.batch()
    source, target, before, after = unpack(batch)
    whole = [(0, 0)] * len(source)
    points = (batch.source_points, batch.target_points)
    painting, _ = render_windows(model, source, before, *points, after, whole, (SIZE, SIZE))
    shown = torch.cat([source, target, painting.picture], 3).clamp(0, 1)
    tiles = (shown * 255).byte().permute(0, 2, 3, 1).numpy()
    rows = [np.concatenate(list(tiles[k::SHEET_ROWS]), 1) for k in range(SHEET_ROWS)]
    return np.concatenate(rows)


if __name__ == "__main__":
    sys.exit(main())
