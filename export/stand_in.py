"""Write checkpoints in the official formats, filled with stand-in weights.

    python -m export.stand_in DIR [--salt N] [--width W] [--size 256] [--older]

They load like the official ones but render noise: for tests, and to try the export without a download.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from engines.errors import AvatarError
from engines.files import replacing
from export.sadtalker.checkpoints import (
    MAPPING,
    MAPPINGS,
    POSE_ENCODER,
    SINGLE_FILES,
    SIZES,
    WAV2LIP,
    WAV2LIP_ENCODER,
    State,
    combined_file,
)
from export.sadtalker.networks.loading import stand_in
from export.sadtalker.networks.registry import BUILDERS
from export.tools import command


def write_stand_ins(
    folder: Path,
    salt: int = 0,
    width: float = 1.0,
    sizes: Sequence[int] = SIZES,
    older: bool = False,
    report: Callable[[str], None] = print,
) -> None:
    """Write the files of the current release for `sizes` (both sizes get the same weights).

    older: write the earlier release's files, one per network, in place of the combined ones.

    Raises:
        AvatarError: not enough disk space, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        states = {name: stand_in(name, salt, width) for name in BUILDERS}
        _check_space(folder, states, 1 if older else len(sizes))
        for name, source in MAPPINGS.items():
            _save(folder / source.file, {MAPPING: states[name]}, report)
        if older:
            _write_older(folder, states, report)
        else:
            _write_combined(folder, states, sizes, report)
    except OSError as error:
        raise AvatarError(f"{folder}: cannot write checkpoints there ({error.strerror or error})") from None


def _write_combined(
    folder: Path, states: dict[str, State], sizes: Sequence[int], report: Callable[[str], None]
) -> None:
    tensors = {
        f"{name}.{key}": tensor.contiguous()
        for name, state in states.items()
        if name not in MAPPINGS
        for key, tensor in state.items()
    }
    for size in sizes:
        path = folder / combined_file(size)
        report(f"writing {path}")
        with replacing(path) as partial:
            save_file(tensors, partial)


def _write_older(folder: Path, states: dict[str, State], report: Callable[[str], None]) -> None:
    contents: dict[str, dict[str, Any]] = {}
    for name, source in SINGLE_FILES.items():
        contents.setdefault(source.file, {})[source.key] = states[name]
    encoder = {
        WAV2LIP_ENCODER + key.removeprefix(POSE_ENCODER): tensor
        for key, tensor in states["audio2pose"].items()
        if key.startswith(POSE_ENCODER)
    }
    contents[WAV2LIP] = {"state_dict": encoder}
    for file, content in contents.items():
        _save(folder / file, content, report)


def _save(path: Path, content: dict[str, Any], report: Callable[[str], None]) -> None:
    report(f"writing {path}")
    with replacing(path) as partial:
        torch.save(content, partial)


def _check_space(folder: Path, states: dict[str, State], copies: int) -> None:
    size = {name: sum(tensor.nbytes for tensor in state.values()) for name, state in states.items()}
    needed = sum(size[name] * (1 if name in MAPPINGS else copies) for name in states)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise AvatarError(f"{folder}: {needed / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free")


def natural(text: str) -> int:
    """Parse a whole number from 0, for argparse."""
    value = int(text)
    if value < 0:
        raise ValueError(text)
    return value


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder to write into")
    parser.add_argument("--salt", type=natural, default=0, help="chooses another set of weights (default: 0)")
    parser.add_argument("--width", type=command.share, default=1.0, help="share of the channels, e.g. 0.0625 for tests")
    parser.add_argument("--size", type=int, choices=SIZES, action="append", help="picture size (default: both)")
    parser.add_argument("--older", action="store_true", help="the earlier release's files, one per network")
    args = parser.parse_args()
    return command.run(lambda: write_stand_ins(args.folder, args.salt, args.width, args.size or SIZES, args.older))


if __name__ == "__main__":
    sys.exit(main())
