"""Options from a file and from the environment; the command line takes precedence over both.

The commands' own parsers define the options. A table `[serve]` of the file holds options of `avatar serve`, named
without leading dashes; keys above all tables apply to every command that has such an option. Likewise, the variable
AVATAR_SERVE_PORT applies to one command and AVATAR_PORT to all. A variable takes precedence over the file, and a
command's own setting over one for all commands.
"""

from __future__ import annotations

import argparse
import difflib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamer.core.errors import ConfigError

FILE = "avatar.toml"
FILE_VARIABLE = "AVATAR_CONFIG"
PREFIX = "AVATAR_"
MOST_BYTES = 256 * 1024
_FLAGS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


class Replaceable(list[Any]):
    """Values of a repeatable option. Values on the command line replace them instead of being appended."""

    def __copy__(self) -> list[Any]:
        return []


@dataclass(frozen=True)
class Setting:
    """An option's parsed value, the value as written, and its source."""

    value: Any
    written: Any
    source: str


@dataclass(frozen=True)
class SettingsFile:
    """Content of an options file: options for all commands, and tables of commands. path: None if no file exists."""

    path: Path | None
    common: Mapping[str, Any]
    tables: Mapping[str, Mapping[str, Any]]

    @classmethod
    def load(cls, environment: Mapping[str, str], folders: tuple[Path, ...]) -> SettingsFile:
        """Load the file that AVATAR_CONFIG names, else the first `avatar.toml` in the folders. Raises ConfigError."""
        named = environment.get(FILE_VARIABLE)
        path = Path(named) if named else next((path for path in _candidates(folders) if path.is_file()), None)
        if path is None:
            return cls(None, {}, {})
        try:
            with path.open("rb") as file:
                text = file.read(MOST_BYTES + 1)
            if len(text) > MOST_BYTES:
                raise ConfigError(f"{path}: more than {MOST_BYTES} bytes")
            found = tomllib.loads(text.decode())
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: is not TOML: {error}") from None
        tables = {key: value for key, value in found.items() if isinstance(value, dict)}
        return cls(path, {key: value for key, value in found.items() if key not in tables}, tables)

    def check(self, options: Mapping[str, frozenset[str]]) -> None:
        """Check that every key is an option. options: option names of each command. Raises ConfigError."""
        everywhere = frozenset[str]().union(*options.values())
        for key in self.common:
            _expect(f"{self.path}: {key}", key, everywhere, "option")
        for command, table in self.tables.items():
            _expect(f"{self.path}: [{command}]", command, options, "command")
            for key in table:
                _expect(f"{self.path}: [{command}] {key}", key, options[command], "option")


def _candidates(folders: tuple[Path, ...]) -> Iterator[Path]:
    return (folder / FILE for folder in folders)


def _expect(where: str, key: str, known: Any, kind: str) -> None:
    if key not in known:
        near = difflib.get_close_matches(key, list(known), 1)
        hint = f"did you mean {near[0]}?" if near else "`avatar config --example` shows all"
        raise ConfigError(f"{where}: no such {kind}; {hint}")


def options_of(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """Return the options of a parser that can be set, by name without leading dashes."""
    found = {}
    for action in parser._actions:  # argparse has no public list of them
        names = [name[2:] for name in action.option_strings if name.startswith("--")]
        if names and not isinstance(action, argparse._HelpAction):
            found[names[0]] = action
    return found


def settings_of(
    command: str, parser: argparse.ArgumentParser, file: SettingsFile, environment: Mapping[str, str]
) -> dict[str, Setting]:
    """Return the settings that the file and the environment make for a command, by option. Raises ConfigError."""
    options = options_of(parser)
    table = file.tables.get(command, {})
    own = f"{PREFIX}{_variable(command)}_"
    unknown = [name for name in environment if name.startswith(own)]
    found: dict[str, Setting] = {}
    for name, action in options.items():
        for variable in (own + _variable(name), PREFIX + _variable(name)):
            if variable in environment:
                found.setdefault(name, _of_variable(action, variable, environment[variable]))
        for where, values in ((f"{file.path}: [{command}] {name}", table), (f"{file.path}: {name}", file.common)):
            if name in values:
                found.setdefault(name, Setting(_converted(action, values[name], where), values[name], str(file.path)))
    for variable in unknown:
        known = [own + _variable(name) for name in options]
        _expect(f"{variable}", variable, known, "option")
    return found


def apply(command: str, parser: argparse.ArgumentParser, file: SettingsFile, environment: Mapping[str, str]) -> None:
    """Make the settings the parser's defaults; the command line takes precedence. Raises ConfigError."""
    options = options_of(parser)
    for name, setting in settings_of(command, parser, file, environment).items():
        options[name].required = False
        options[name].default = setting.value


def _variable(name: str) -> str:
    return name.replace("-", "_").upper()


def _of_variable(action: argparse.Action, variable: str, text: str) -> Setting:
    value: Any = text
    if action.nargs == 0:
        value = _FLAGS.get(text.lower(), text)
    elif isinstance(action, argparse._AppendAction):
        value = text.split(",")
    return Setting(_converted(action, value, variable), value, variable)


def _converted(action: argparse.Action, value: Any, where: str) -> Any:
    """Convert a value as the option's own parser would. Raises ConfigError."""
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise ConfigError(f"{where}: {value!r} found, true or false expected")
        return value if value else action.default
    if isinstance(action, argparse._AppendAction):
        if not isinstance(value, list):
            raise ConfigError(f"{where}: {value!r} found, a list expected")
        return Replaceable(_read(action, each, where) for each in value)
    if value is True and action.nargs == "?":
        return action.const
    return _read(action, ",".join(map(str, value)) if isinstance(value, list) else value, where)


def _read(action: argparse.Action, value: Any, where: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ConfigError(f"{where}: {value!r} found, a text or a number expected")
    try:
        read = action.type(str(value)) if callable(action.type) else str(value)
    except (argparse.ArgumentTypeError, ValueError) as error:
        raise ConfigError(f"{where}: {error}") from None
    if action.choices is not None and read not in action.choices:
        raise ConfigError(f"{where}: {read!r} found, one of {', '.join(map(str, action.choices))} expected")
    return read
