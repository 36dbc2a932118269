"""`avatar avatars`."""

from __future__ import annotations

import argparse

from engines.manifest import Manifest
from streamer.avatar.catalogue import default_name, find_avatar, list_avatars
from streamer.cli.arguments import add_family
from streamer.core.console import say

EXAMPLES = ("avatar avatars", "avatar avatars --engines engines/built/sadtalker-256")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `avatar avatars`."""
    add_family(parser, threads=False)


def run(args: argparse.Namespace) -> int:
    """List the avatars that come with the engines, and your own."""
    manifest = Manifest.load(args.engines)
    for name in list_avatars(manifest):
        info = find_avatar(manifest, name)
        note = " (default)" if name == default_name(manifest) else ""
        say(f"{name:12s} {info.title}{note}: {info.description}")
    return 0
