"""`avatar bench`."""

from __future__ import annotations

import argparse
from pathlib import Path

from streamer.cli.arguments import MAX_SESSIONS, add_avatar, add_family, listed, number, whole

EXAMPLES = ("avatar bench", "avatar bench --sessions 1,2 --loss 0,1 --json bench.json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `avatar bench`."""
    parser.add_argument(
        "--sessions",
        type=listed(whole(1, MAX_SESSIONS)),
        default=(1,),
        metavar="N,..",
        help="sessions at the same time, one run for each number, e.g. 1,2 (default: 1)",
    )
    parser.add_argument(
        "--seconds",
        type=number(1.0, 86_400.0, "a number of seconds"),
        default=20.0,
        metavar="S",
        help="length of each run (default: 20)",
    )
    parser.add_argument(
        "--loss",
        type=listed(number(0.0, 50.0, "a percentage")),
        default=(0.0,),
        metavar="P,..",
        help="percent of lost microphone packets, one run for each, e.g. 0,1 (default: 0)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures as JSON")
    add_avatar(parser)
    add_family(parser)


def run(args: argparse.Namespace) -> int:
    """Start a server, hold live conversations with it, and measure frame rate, latency, lip-sync and cost."""
    from streamer.measure.bench import BenchOptions, bench

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
