"""Typed reading of a JSON object whose errors name the file, the field, the value and the expected form."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import Any

from engines.errors import ManifestError

_READ_BYTES = 1 << 20
_MAX_DIM = 1 << 20


class Fields:
    """A JSON object of the file `source`; `where` is its place inside, for messages."""

    def __init__(self, source: Path, data: object, where: str = "") -> None:
        self.source = source
        self.where = where
        if not isinstance(data, dict):
            raise self.error(f"expected an object, found {_kind(data)}")
        self._data: dict[str, Any] = data

    def error(self, message: str) -> ManifestError:
        """An error about this object."""
        return ManifestError(f"{self.source}: {self.where + ': ' if self.where else ''}{message}")

    def has(self, name: str) -> bool:
        """Whether the field is there."""
        return name in self._data

    def names(self) -> list[str]:
        """Names of all fields, in the file's order."""
        return list(self._data)

    def get(self, name: str) -> object:
        """The field as it is."""
        if name not in self._data:
            raise self.error(f"{name} is missing")
        return self._data[name]

    def text(self, name: str) -> str:
        """A field that is a string."""
        value = self.get(name)
        if not isinstance(value, str):
            raise self._unexpected(name, value, "a string")
        return value

    def integer(self, name: str) -> int:
        """A field that is a whole number, not below zero."""
        value = self.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self._unexpected(name, value, "a whole number from 0")
        return value

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """A field that is one of `choices`."""
        value = self.text(name)
        if value not in choices:
            raise self.error(f"{name} is {value}, expected one of {', '.join(choices)}")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A field that is a list of strings, none twice."""
        value = self.get(name)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._unexpected(name, value, "a list of strings")
        if len(set(value)) != len(value):
            raise self.error(f"{name} names something twice")
        return tuple(value)

    def dims(self, name: str) -> tuple[int | str, ...]:
        """A field that is a tensor shape: positive numbers and symbols."""
        value = self.get(name)
        if not isinstance(value, list) or not all(_is_dim(item) for item in value):
            raise self._unexpected(name, value, 'a shape such as ["n", 1, 80, 16]')
        return tuple(value)

    def child(self, name: str) -> Fields:
        """A field that is an object."""
        return Fields(self.source, self.get(name), self._place(name))

    def objects(self, name: str) -> list[Fields]:
        """A field that is a list of objects."""
        value = self.get(name)
        if not isinstance(value, list):
            raise self._unexpected(name, value, "a list")
        return [Fields(self.source, item, self._place(f"{name}[{i}]")) for i, item in enumerate(value)]

    def path(self, name: str, folder: Path) -> Path:
        """A field that names a file inside `folder`."""
        text = self.text(name)
        relative = PurePosixPath(text)
        if not text or relative.is_absolute() or ".." in relative.parts or "\\" in text:
            raise self.error(f"{name} is {text!r}, expected a file inside the folder")
        return folder.joinpath(*relative.parts)

    def _place(self, name: str) -> str:
        return f"{self.where}.{name}" if self.where else name

    def _unexpected(self, name: str, value: object, expected: str) -> ManifestError:
        return self.error(f"{name} is {_kind(value)}, expected {expected}")


def read_object(path: Path) -> Fields:
    """The JSON object a file holds.

    Raises:
        ManifestError: no such file, or not a JSON object.
    """
    try:
        return Fields(path, json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ManifestError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{path}: not JSON ({error})") from None


def verify_file(folder: Path, entry: Fields) -> Path:
    """The file an entry {"file", "sha256"} names, its contents checked against the hash.

    Raises:
        ManifestError: the file is missing, or is not the one the entry was written for.
    """
    path, expected = entry.path("file", folder), entry.text("sha256")
    if not path.is_file():
        raise ManifestError(f"{path}: missing, though {entry.source} names it; install this family again")
    found = sha256(path)
    if found != expected:
        raise ManifestError(
            f"{path}: damaged or replaced (SHA-256 {found[:12]}.., {entry.source.name} says {expected[:12]}..); "
            "install this family again"
        )
    return path


def sha256(path: Path) -> str:
    """SHA-256 of a file's contents, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _is_dim(item: object) -> bool:
    if isinstance(item, bool):
        return False
    return (isinstance(item, int) and 0 < item <= _MAX_DIM) or (isinstance(item, str) and item.isidentifier())


def _kind(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{type(value).__name__} {text[:30]}.."
