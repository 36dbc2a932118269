"""Make the starter family from CC0 assets alone: pictures, generator, speech, expression, assembly.

    python -m export.starter --assets DIR [--work build/starter] [--render-minutes 25] [--train-minutes 90]

Every step stores its results in --work and resumes from them. The generator starts from the released weights
(export/starter/data/generator.npz) unless --from-scratch is given. The expression network is the family's own unless
--kokoro names voices to train it with again. Existing portraits of the family are kept;
export.starter.rendering.portraits renders new ones.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import torch

from export.starter.assembly.family import POSE_GRAPH, assemble
from export.starter.rendering.rig import AssetError
from export.starter.training.generator import Generator
from export.starter.training.weights import save_weights

RELEASED = Path(__file__).parent / "data" / "generator.npz"
BUNDLED_SHARE = 0.08  # share of the rendering time for the two bundled characters
CRITIC_SHARE = 0.3  # of the training time


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--assets", type=Path, required=True, help="folder of MakeHuman's CC0 assets")
    parser.add_argument("--work", type=Path, default=Path("build/starter"), help="pictures, speech and checkpoints")
    parser.add_argument("--out", type=Path, default=Path("engines/starter"), help="the family's folder")
    parser.add_argument("--render-minutes", type=float, default=25, help="spent on pictures (default: 25)")
    parser.add_argument("--train-minutes", type=float, default=90, help="spent on the generator (default: 90)")
    parser.add_argument("--from-scratch", action="store_true", help="do not begin with the released weights")
    parser.add_argument("--kokoro", type=Path, help="neural voices (see export/starter/voices/kokoro.py)")
    args = parser.parse_args()
    try:
        make(args)
    except (AssetError, FileNotFoundError) as error:
        print(f"avatar: {error}", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        print(f"avatar: {' '.join(error.cmd[1:4])} failed; its messages are above", file=sys.stderr)
        return 2
    return 0


def make(args: argparse.Namespace) -> None:
    """Run the remaining steps. Raises CalledProcessError if one fails."""
    work, assets = args.work, ["--assets", str(args.assets)]
    pictures, checkpoint, weights = work / "pictures", work / "generator.pt", work / "generator.npz"
    if not pictures.is_dir():
        minutes = args.render_minutes
        _run("rendering.dataset", *assets, "--out", pictures, "--minutes", minutes * (1 - BUNDLED_SHARE), "--seed", 1)
        _run(
            "rendering.dataset",
            *assets,
            "--out",
            pictures,
            "--minutes",
            minutes * BUNDLED_SHARE,
            "--seed",
            2,
            "--bundled",
        )
    start = [] if args.from_scratch or checkpoint.exists() else ["--start", RELEASED]
    minutes = args.train_minutes
    times = ["--minutes", minutes, "--critic-minutes", minutes * CRITIC_SHARE]
    _run("training.train_generator", *assets, "--data", pictures, "--out", checkpoint, *times, *start)
    model = Generator()
    model.load_state_dict(torch.load(checkpoint, weights_only=True)["average"])
    save_weights(weights, model)
    if args.kokoro:
        graph = work / "expression.onnx"
        if not graph.exists():
            _run("training.train_expression", "--kokoro", args.kokoro, "--work", work / "speech", "--out", graph)
        (args.out / "expression.onnx").write_bytes(graph.read_bytes())
    if not (args.out / POSE_GRAPH).is_file():
        _run("training.train_pose", "--work", work / "pose", "--out", args.out)
    assemble(args.assets, weights, args.out)


def _run(module: str, *arguments: object) -> None:
    """Run a step in a separate process, which sets its own threads and releases all memory at its end."""
    subprocess.run([sys.executable, "-m", f"export.starter.{module}", *map(str, arguments)], check=True)


if __name__ == "__main__":
    sys.exit(main())
