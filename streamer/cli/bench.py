"""`avatar bench`."""

from __future__ import annotations

import argparse
from pathlib import Path

from streamer.cli.arguments import MAX_SESSIONS, add_avatar, add_family, argument, listed, number, whole
from streamer.core import readers
from streamer.core.options import FRAME_SIZES

EXAMPLES = ("avatar bench", "avatar bench --sessions auto --size 256,384,512 --json bench.json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `avatar bench`."""
    parser.add_argument(
        "--sessions",
        type=argument(read_sessions),
        default=(1,),
        metavar="N,..|auto",
        help="sessions at the same time, one run for each number, e.g. 1,2; auto: 1, 2 and so on until the machine "
        "has to leave something out (default: 1)",
    )
    parser.add_argument(
        "--size",
        type=listed(whole(*FRAME_SIZES[:: len(FRAME_SIZES) - 1])),
        default=(None,),
        metavar="PIXELS,..",
        help="side of the pictures, a run for each, e.g. 256,384,512 (default: what a session gets)",
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


def read_sessions(text: str) -> tuple[int, ...] | None:
    """Read `--sessions`; None is auto."""
    try:
        return None if text == "auto" else tuple(readers.whole(1, MAX_SESSIONS)(part) for part in text.split(","))
    except ValueError as error:
        raise ValueError(f"auto or {error}") from None


def run(args: argparse.Namespace) -> int:
    """Start a server, hold live conversations with it, and measure frame rate, latency, lip-sync and cost."""
    from streamer.measure.bench import BenchOptions, bench

    bench(
        BenchOptions(
            sessions=args.sessions,
            sizes=args.size,
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
