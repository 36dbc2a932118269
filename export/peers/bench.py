"""Time a picture of our family and the layers of other generators, on one thread of this machine, and print the ratios.

    python -m export.peers.bench [--size 512] [--json FILE]

Weights are random: the arithmetic of published sizes is compared, not pictures. Processor seconds are counted, so other
load on the machine matters little. Takes about a minute on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from engines import SHIPPED_FAMILY
from engines.manifest import Manifest
from engines.runtime import cpu_backends
from engines.tuning_file import processor
from export.peers.layers import seconds
from export.peers.tables import PEERS, Table
from streamer.avatar import tuned_engines
from streamer.core.frames import FloatArray, Paint
from streamer.core.options import FRAME_SIZES, FaceOptions
from streamer.core.rates import SAMPLE_RATE
from streamer.pipeline import Avatar, CoefficientStream, FaceRenderer

TALK_S = 3.0


def ours(size: int) -> float:
    """Return the processor seconds per picture of the shipped family during speech: networks, warp and paste."""
    manifest = Manifest.load(SHIPPED_FAMILY)
    with tuned_engines.open_engines(manifest, 1, tell=print) as engines:
        avatar = Avatar.load(engines)
        stream = CoefficientStream(engines, avatar)
        renderer = FaceRenderer(engines, avatar, FaceOptions(size=size))
        windows = stream.push(babble(TALK_S)) + stream.flush()
        renderer.render(windows[:1])
        start = time.process_time()
        renderer.render(windows[1:], Paint.WHERE_MOVED)
        return (time.process_time() - start) / len(windows[1:])


def babble(length_s: float) -> FloatArray:
    """Synthesise a voice that swells and fades three times a second: harmonics of 120 Hz under a squared sine."""
    moment = np.arange(int(length_s * SAMPLE_RATE)) / SAMPLE_RATE
    tone = sum(np.sin(2 * np.pi * 120 * number * moment) / number for number in range(1, 25))
    return np.asarray(0.1 * tone * np.square(np.sin(3 * np.pi * moment)), np.float32)


def theirs(table: Table) -> float:
    """Return the processor seconds of all layers of a table."""
    with TemporaryDirectory() as folder:
        return sum(count * seconds(layer, cpu_backends(), Path(folder)) for layer, count in table.items())


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=512, choices=FRAME_SIZES, help="pixels of our pictures")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    args = parser.parse_args()
    own = ours(args.size)
    figures = {f"ours, {args.size} pixels": own}
    print(f"{processor()}, processor time on one thread, fp32; others: layers alone, random weights")
    print(f"{'a frame of':48} {'ms':>9} {'ours':>8} {'G mult.':>8}")
    print(f"{f'ours, {args.size} pixels, the whole picture':48} {1000 * own:9.1f} {1:7.1f}x")
    for name, make in PEERS.items():
        table = make()
        figures[name] = took = theirs(table)
        work = sum(layer.work * count for layer, count in table.items()) / 1e9
        print(f"{name:48} {1000 * took:9.1f} {took / own:7.1f}x {work:8.1f}", flush=True)
    if args.json:
        args.json.write_text(json.dumps({name: round(1000 * value, 1) for name, value in figures.items()}, indent=1))


if __name__ == "__main__":
    main()
