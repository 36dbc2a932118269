"""`avatar config`."""

from __future__ import annotations

import argparse
import json
import os
import re
import textwrap
from collections.abc import Iterator
from typing import Any

from streamer.cli import settings
from streamer.core.console import say

EXAMPLES = ("avatar config serve", "avatar config --example")
HIDDEN = '"(hidden)"'
WIDTH = 100
NOT_ITSELF = ("config",)  # commands without settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `avatar config`."""
    parser.add_argument("of", nargs="?", metavar="COMMAND", help="show the options of one command (default: of all)")
    parser.add_argument("--example", action="store_true", help="print a file with every option, explained")


def run(args: argparse.Namespace) -> int:
    """Show every option with its value and source: the file, a variable or the default. Secrets are hidden.

    Options are read from `avatar.toml` in the working folder, else in AVATAR_HOME; from variables such as
    AVATAR_SERVE_PORT, or AVATAR_PORT for all commands; and from the command line, which takes precedence.
    """
    from streamer.cli.main import COMMANDS, command_parser, settings_file
    from streamer.core.errors import ConfigError

    if args.of is not None and args.of not in COMMANDS:
        raise ConfigError(f"there is no command {args.of[:40]!r}; there are {', '.join(COMMANDS)}")
    commands = [name for name in COMMANDS if name not in NOT_ITSELF and args.of in (None, name)]
    parsers = {name: command_parser(name) for name in commands}
    if args.example:
        say(f"# Options of the avatar commands, as they are unless they are set. Name this file {settings.FILE}.")
        for name, parser in parsers.items():
            say("\n".join(["", f"[{name}]", *example(parser)]))
        return 0
    file = settings_file()
    say(f"# file: {file.path or 'none'}")
    for name, parser in parsers.items():
        say("\n".join(["", f"[{name}]", *effective(name, parser, file)]))
    return 0


def example(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield lines of TOML for each option: its help text, and its default value as a comment."""
    for name, action in settings.options_of(parser).items():
        help_text = " ".join((action.help or "").replace("%%", "%").split())
        yield from (f"# {line}" for line in textwrap.wrap(help_text, WIDTH - 2))
        yield f"# {name} = {toml(_plain(action)) if _plain(action) is not None else _form(action)}"


def effective(command: str, parser: argparse.ArgumentParser, file: settings.SettingsFile) -> Iterator[str]:
    """Yield lines of TOML for each option: its value and its source. Raises ConfigError."""
    found = settings.settings_of(command, parser, file, os.environ)
    for name, action in settings.options_of(parser).items():
        if name in found:
            yield f"{name} = {shown(name, found[name].written)}  # {found[name].source}"
        elif _plain(action) is None:
            yield f"# {name} is not set"
        else:
            yield f"{name} = {toml(_plain(action))}  # as it comes"


def shown(name: str, value: Any) -> str:
    """Return a value as TOML, or a placeholder for a secret."""
    secret = name in ("token", "secret") and not str(value).startswith("avk_")
    return HIDDEN if secret and re.fullmatch(r"avs_.*|[\w-]+\.[\w-]+\.[\w-]+", str(value)) else toml(value)


def toml(value: Any) -> str:
    """Return a value as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(str(value), ensure_ascii=False)


def _plain(action: argparse.Action) -> Any:
    """Return an option's default value, or None if it has no default."""
    value = action.default
    if action.nargs == 0:
        return bool(value)
    return None if value is None or (isinstance(value, tuple) and None in value) else value


def _form(action: argparse.Action) -> str:
    if action.choices is not None:
        return json.dumps("|".join(map(str, action.choices)))
    return json.dumps(str(action.metavar or action.dest.upper()))
