"""`avatar engines`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from engines.manifest import Manifest
from streamer.cli.arguments import add_family
from streamer.core.console import say, show

if TYPE_CHECKING:
    from engines.tuning import TunedGraph

EXAMPLES = ("avatar engines --tune", "avatar engines --engines engines/built/sadtalker-256 --threads 4")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `avatar engines`."""
    add_family(parser)
    parser.add_argument("--tune", action="store_true", help="measure anew how this machine computes each graph fastest")


def run(args: argparse.Namespace) -> int:
    """Verify a family of engines, load it, and print how each stage is computed on this machine.

    The fastest way is measured at the first start and stored; --tune measures again and prints every way it tried.
    """
    from engines.runtime import backend_for
    from streamer.avatar.tuned_engines import open_engines, ways

    manifest = Manifest.load(args.engines)
    backends = {name: backend_for(stage) for name, stage in manifest.stages.items()}
    say(
        f"family {manifest.family} {manifest.version}: {manifest.size}x{manifest.size} at {manifest.fps} fps, "
        f"full look-ahead {manifest.lookahead_ms} ms, licence {manifest.licence}"
    )
    if args.tune:
        _tune(manifest, args.threads)
    chosen = ways(manifest, args.threads, say)
    for name, description in dict.fromkeys((backend.name, backend.description) for backend in backends.values()):
        say(f"runs on {name}: {description}")
    with open_engines(manifest, args.threads, without=()):
        for name, stage in manifest.stages.items():
            backend = backends[name]
            graphs = [
                f"{graph.path.name} ({chosen.get(graph.path.name) or backend.precision(graph)})"
                for graph in (graph.for_backend(backend.name) for graph in stage.graphs)
            ]
            say(f"  {name:12s} {', '.join(graphs) or stage.process}")
    say("all files verified, all stages run")
    return 0


def _tune(manifest: Manifest, threads: int) -> None:
    """Measure every graph, show the current one in a terminal, and print the table."""
    from engines.runtime import BACKEND_VARIABLE
    from engines.tuning import can_tune
    from streamer.avatar.tuned_engines import tune
    from streamer.core.errors import ConfigError

    if not can_tune():
        raise ConfigError(f"{BACKEND_VARIABLE} names the engine already; --tune is for choosing one")

    def progress(name: str) -> None:
        show(f"measuring {name} ...")

    tuned = tune(manifest, threads, progress)
    show("")
    for line in table(tuned):
        say(line)


def table(tuned: Sequence[TunedGraph]) -> list[str]:
    """Return a table of ms per graph and way, the chosen way starred, and one line for each way that failed."""
    shown = [trial.way for trial in max(tuned, key=lambda graph: len(graph.trials)).trials] if tuned else []
    lines = [f"  {'ms a run':24s}" + "".join(f"{way!s:>24s}" for way in sorted(shown, key=str))]
    dropped = []
    for graph in tuned:
        times = {}
        for trial in graph.trials:
            star = " *" if trial.way == graph.chosen else "  "
            times[trial.way] = f"{trial.ms:.2f}{star}" if trial.fault is None else "-  "
            if trial.fault is not None:
                dropped.append(f"  {graph.name}: {trial.way} drops out: {trial.fault}")
        lines.append(f"  {graph.name:24s}" + "".join(f"{times.get(way, ''):>24s}" for way in sorted(shown, key=str)))
    return [*lines, *dropped]
