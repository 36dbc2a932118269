"""The command line of `avatar bench`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from streamer.cli.arguments import MOST_SESSIONS, number, whole
from streamer.measure.bench import BenchOptions

AddArguments = Callable[[argparse.ArgumentParser], None]


def add_bench(parser: argparse.ArgumentParser, add_face: AddArguments, add_family: AddArguments) -> None:
    """All of it."""
    parser.add_argument(
        "--sessions", type=_counts, default=(1,), metavar="N,..", help="how many at once, e.g. 1 or 1,2 (default: 1)"
    )
    parser.add_argument(
        "--seconds", type=_seconds, default=20.0, metavar="S", help="of conversation for each (default: 20)"
    )
    parser.add_argument(
        "--loss",
        type=_losses,
        default=(0.0,),
        metavar="P,..",
        help="percent of the microphone's packets that are lost, e.g. 0,1 (default: 0)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures as JSON")
    add_face(parser)
    add_family(parser)
    parser.set_defaults(command=run_bench)


def run_bench(args: argparse.Namespace) -> int:
    """Hold live conversations with a server of our own and measure frame rate, latency, lip-sync and cost."""
    from streamer.measure.bench import bench

    bench(
        BenchOptions(
            sessions=args.sessions,
            loss=args.loss,
            seconds_each=args.seconds,
            json=args.json,
            family=args.engines,
            avatar=args.avatar,
            lookahead_ms=args.lookahead,
            threads=args.threads,
        )
    )
    return 0


def _counts(text: str) -> tuple[int, ...]:
    return tuple(whole(1, MOST_SESSIONS)(part) for part in text.split(","))


def _losses(text: str) -> tuple[float, ...]:
    return tuple(number(part, 0.0, 50.0, "a percentage") for part in text.split(","))


def _seconds(text: str) -> float:
    return number(text, 1.0, 86_400.0, "a number of seconds")
