"""`avatar remove`."""

from __future__ import annotations

import argparse

from engines.manifest import Manifest
from streamer.avatar.own import remove_avatar
from streamer.cli.arguments import add_family
from streamer.core.console import say

EXAMPLES = ("avatar remove me", 'avatar remove "Anna Smith"')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `avatar remove`."""
    parser.add_argument("avatar", metavar="AVATAR", help="name or title of one of your own, as `avatar avatars` lists")
    add_family(parser, threads=False)


def run(args: argparse.Namespace) -> int:
    """Remove one of your own avatars for good. A running server shows it until the server stops."""
    say(f"removed {remove_avatar(Manifest.load(args.engines), args.avatar)}")
    return 0
