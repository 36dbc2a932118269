"""The `avatar` command: finds the command's module, parses its arguments, runs it and reports errors in one line."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import shutil
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from streamer import __version__
from streamer.avatar.catalogue import home_folder
from streamer.cli import settings
from streamer.core import log
from streamer.core.console import note, show_anything
from streamer.core.errors import AvatarError
from streamer.core.system.signals import terminable

EXIT_REFUSED = 2
EXIT_INTERRUPTED, EXIT_TERMINATED = 130, 143  # by SIGINT, by SIGTERM: the shells' convention
# Each is a module of this package, imported only when its command is used.
COMMANDS = {
    "serve": "talk live in the browser",
    "render": "make a talking video of a sound",
    "prepare": "make an avatar of a photo",
    "camera": "talk through a virtual camera",
    "mic": "try your microphone",
    "avatars": "list the avatars",
    "rename": "call an avatar something else",
    "remove": "remove an avatar",
    "token": "invite others to a server",
    "doctor": "see whether all is well",
    "config": "show all options and where they are set",
    "engines": "check the engines",
    "bench": "measure a live conversation",
    "cluster": "talk live on several machines",
}
DESCRIPTION = "A face made from one picture speaks with your voice: live in the browser, or in a video file."
EXAMPLES = ("avatar serve", "avatar render --audio speech.wav --out talking.mp4")

Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status. An error that the user can fix is one line on standard error."""
    show_anything()
    with terminable() as terminated:
        try:
            return _run(argv)
        except KeyboardInterrupt:
            return EXIT_TERMINATED if terminated() else EXIT_INTERRUPTED


def _run(argv: Sequence[str] | None) -> int:
    parser = make_parser()
    try:
        args = parser.parse_args(argv)
    except AvatarError as error:  # in the options file
        note(str(error))
        return EXIT_REFUSED
    if args.command is None:
        parser.print_help()
        return EXIT_REFUSED
    log.set_up(logging.INFO if args.verbose else logging.WARNING, args.log_format)
    command: Command = args.run
    try:
        return command(args)
    except AvatarError as error:
        note(str(error))
        return EXIT_REFUSED
    except OSError as error:
        if error.filename is None:
            raise  # names no file that the user could fix
        note(f"{error.filename}: {error.strerror}")
        return EXIT_REFUSED


class Parser(argparse.ArgumentParser):
    """Reports a wrong option in one line, like every other error, and ends its help with examples."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def describe(self, description: str, examples: Sequence[str]) -> None:
        """Set the text above the options, its lines wrapped to the terminal, and the examples below them."""
        paragraphs = textwrap.dedent(description).strip().split("\n\n")
        width = shutil.get_terminal_size().columns - 2
        self.description = "\n\n".join(textwrap.fill(" ".join(text.split()), width) for text in paragraphs)
        self.epilog = "examples:\n" + "\n".join(f"  {example}" for example in examples)

    def error(self, message: str) -> NoReturn:
        """Exit with a one-line message."""
        self.exit(EXIT_REFUSED, f"avatar: {message}; see `{self.prog} --help`\n")


class _CommandParser(Parser):
    """The parser of one command. It gets its arguments from the command's module when it is first used."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._module: str | None = self.prog.split()[-1]

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # argparse's signature
        """Add the command's arguments on the first call, then parse."""
        if self._module is not None:
            name, self._module = self._module, None
            command = importlib.import_module(f"streamer.cli.{name}")
            self.describe(command.run.__doc__, command.EXAMPLES)
            command.add_arguments(self)
            settings.apply(name, self, settings_file(), os.environ)
            self.set_defaults(run=command.run)
        return super().parse_known_args(args, namespace)


class _NameFile(argparse.Action):
    """`--config FILE`: sets the environment variable that the commands' parsers and child processes read."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: str | None = None) -> None:
        os.environ[settings.FILE_VARIABLE] = str(values)


def settings_file() -> settings.SettingsFile:
    """Load the options file that applies here, and check its keys. Raises ConfigError."""
    file = settings.SettingsFile.load(os.environ, (Path.cwd(), home_folder()))
    if file.path is not None:
        file.check({name: frozenset(settings.options_of(command_parser(name))) for name in COMMANDS})
    return file


def command_parser(name: str) -> argparse.ArgumentParser:
    """Return a parser of a command's options, without any settings applied."""
    parser = argparse.ArgumentParser(prog=f"avatar {name}", add_help=False)
    importlib.import_module(f"streamer.cli.{name}").add_arguments(parser)
    return parser


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = Parser(prog="avatar")
    parser.describe(DESCRIPTION, EXAMPLES)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument(
        "--config", action=_NameFile, metavar="FILE", help="options as TOML (default: AVATAR_CONFIG, else avatar.toml)"
    )
    parser.add_argument("--verbose", action="store_true", help="log more of what happens")
    parser.add_argument(
        "--log-format",
        choices=log.FORMATS,
        help=f"of the log on standard error (default: {log.FORMAT_VARIABLE}, else text)",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", parser_class=_CommandParser)
    for name, summary in COMMANDS.items():
        commands.add_parser(name, help=summary)
    return parser
