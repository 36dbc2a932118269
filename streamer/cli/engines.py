"""`avatar engines`."""

from __future__ import annotations

import argparse

from engines.manifest import Manifest
from streamer.cli.arguments import add_family

EXAMPLES = ("avatar engines", "avatar engines --engines engines/built/sadtalker-256 --threads 4")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `avatar engines`."""
    add_family(parser)


def run(args: argparse.Namespace) -> int:
    """Verify a family of engines, load it, and print which backend each stage runs on."""
    from engines.runtime import Engines, backend_for

    manifest = Manifest.load(args.engines)
    backends = {name: backend_for(stage) for name, stage in manifest.stages.items()}
    print(
        f"family {manifest.family} {manifest.version}: {manifest.size}x{manifest.size} at {manifest.fps} fps, "
        f"full look-ahead {manifest.lookahead_ms} ms, licence {manifest.licence}"
    )
    for name, description in dict.fromkeys((backend.name, backend.description) for backend in backends.values()):
        print(f"runs on {name}: {description}")
    with Engines.open(manifest, threads=args.threads):
        for name, stage in manifest.stages.items():
            backend = backends[name]
            chosen = (graph.for_backend(backend.name) for graph in stage.graphs)
            graphs = ", ".join(f"{graph.path.name} ({backend.precision(graph)})" for graph in chosen)
            print(f"  {name:12s} {graphs or stage.process}")
    print("all files verified, all stages run")
    return 0
