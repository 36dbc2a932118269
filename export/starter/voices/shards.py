"""Make sets of shards in several processes and store them on disk."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any


def make_all(
    make: Callable[..., Path], folder: Path, count: int, seed: int, arguments: tuple[Any, ...], workers: int
) -> list[Path]:
    """Call `make(path, seed, *arguments)` for all `count` shards of a set; existing shards are kept.

    Shows progress on standard error.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {folder / f"{index:04d}.npz": seed * 10_000 + index for index in range(max(1, count))}
    missing = {path: number for path, number in paths.items() if not path.exists()}
    # Spawned, not forked: a fork of a process whose threads hold locks (torch's do) can deadlock.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        running = [pool.submit(make, path, number, *arguments) for path, number in missing.items()]
        for done, future in enumerate(as_completed(running), 1):
            future.result()
            print(f"\r{folder.name}: {done} of {len(missing)} parts made", end="", file=sys.stderr, flush=True)
    if missing:
        print(file=sys.stderr)
    return list(paths)
