"""`avatar rename`."""

from __future__ import annotations

import argparse

from engines.manifest import Manifest
from streamer.avatar.own import rename_avatar
from streamer.cli.arguments import add_family
from streamer.core.console import say

EXAMPLES = ('avatar rename img_1234 "Anna Smith"', 'avatar rename "Anna Smith" Anna')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `avatar rename`."""
    parser.add_argument("avatar", metavar="AVATAR", help="name or title of one of your own, as `avatar avatars` lists")
    parser.add_argument("title", metavar="TITLE", help="what people see it called from now on; --avatar takes it, too")
    add_family(parser, threads=False)


def run(args: argparse.Namespace) -> int:
    """Give one of your own avatars another title. Its name stays; `--avatar` takes either."""
    info = rename_avatar(Manifest.load(args.engines), args.avatar, args.title)
    say(f"{info.name} is called {info.title}")
    return 0
