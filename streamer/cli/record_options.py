"""The options of what is recorded, on the command lines of what talks live."""

from __future__ import annotations

import argparse
from pathlib import Path

from streamer.core.options import RecordOptions


def add_arguments(parser: argparse.ArgumentParser, each: bool = False) -> None:
    """`each`: there are several sessions, and each gets a file of its own."""
    own = " (each session gets its own: FILE-1.npz, FILE-2.npz, ...; visitors are told)" if each else ""
    group = parser.add_argument_group("recording")
    group.add_argument(
        "--record",
        type=Path,
        metavar="FILE.npz",
        help="record what the face does, in numbers, with the sound that is heard, for `avatar render --coefficients`"
        f"{own}",
    )
    if not each:
        group.add_argument(
            "--record-video",
            type=Path,
            metavar="FILE.mp4",
            help="record the pictures that are shown and the sound that is heard: .mp4, .mkv, .webm, .ts",
        )


def of_arguments(args: argparse.Namespace) -> RecordOptions:
    """What a command line asks for."""
    return RecordOptions(args.record, getattr(args, "record_video", None))
