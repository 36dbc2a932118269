"""JSON files with a schema: read into `msgspec` structs, with readable errors, and written atomically."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec

from engines.errors import ManifestError
from engines.files import write_bytes

T = TypeVar("T")


def form(description: str, **bounds: Any) -> msgspec.Meta:
    """Return msgspec's constraints of a field, with a description for error messages."""
    return msgspec.Meta(description=description, **bounds)


Natural = Annotated[int, form("a whole number from 0", ge=0)]
Positive = Annotated[int, form("a whole number from 1", ge=1)]
Text = Annotated[str, form("a string")]


class _Head(msgspec.Struct):
    format: Natural


def read(path: Path, kind: type[T]) -> T:
    """Read a file into a `kind`, a struct; unknown fields are skipped.

    Raises:
        ManifestError: the file is missing or not JSON, or a field is missing or malformed; the message names the file,
            the place, the value and the expected form.
    """
    return _decode(path, _content(path), kind)


def read_format(path: Path, kind: type[T], number: int) -> T:
    """Read a file as `read` does, but first check that its field `format` is `number`.

    Raises:
        ManifestError: see `read`, or the format is another.
    """
    content = _content(path)
    found = _decode(path, content, _Head).format
    if found != number:
        raise ManifestError(f"{path}: format {found}, this version reads format {number}")
    return _decode(path, content, kind)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ManifestError(f"{path}: {error.strerror}") from None


def _decode(path: Path, content: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        found = _fault(msgspec.json.decode(content), kind, _Place("", ""))
        raise ManifestError(f"{path}: {found or error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ManifestError(f"{path}: not JSON ({error})") from None


def write(path: Path, content: object, private: bool = False) -> None:
    """Replace the file with `content` as JSON, one value per line. Raises OSError."""
    write_bytes(path, msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n", private)


class _Place(NamedTuple):
    """A value's place in the file: its parent object, and its name there."""

    parent: str
    name: str

    def __str__(self) -> str:
        return f"{self.parent}.{self.name}".lstrip(".")

    def says(self, text: str) -> str:
        return f"{self.parent}: {self.name} {text}" if self.parent else f"{self.name} {text}"


def _fault(value: object, kind: Any, place: _Place) -> str | None:
    """Describe the first part of `value` that does not fit `kind`; None if all fit."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        reason = str(error)
    else:
        return None
    kind, expected = _plain(kind, value)
    for inner, part, part_kind in () if expected else _parts(value, kind, place):
        if fault := _fault(part, part_kind, inner):
            return fault
    where = f"{place}: " if str(place) else ""
    if _is_struct(kind) or typing.get_origin(kind) is dict:
        if not isinstance(value, dict):
            return f"{where}expected an object, found {_shown(value)}"
        fields = msgspec.structs.fields(kind) if _is_struct(kind) else ()
        missing = [field.encode_name for field in fields if field.required and field.encode_name not in value]
        return where + (f"{missing[0]} is missing" if missing else reason)
    if typing.get_origin(kind) is tuple:
        expected = expected or "a list"
    return place.says(f"is {_shown(value)}, expected {expected}" if expected else f"is {_shown(value)}: {reason}")


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _plain(kind: Any, value: object) -> tuple[Any, str | None]:
    """Return a type without its annotation, and its description; a union becomes its struct for a dict."""
    expected = None
    if typing.get_origin(kind) is Annotated:
        kind, *notes = typing.get_args(kind)
        expected = next((note.description for note in notes if isinstance(note, msgspec.Meta)), None)
    if typing.get_origin(kind) in (types.UnionType, typing.Union) and isinstance(value, dict):
        structs = [arm for arm in typing.get_args(kind) if _is_struct(arm)]
        kind, expected = (structs[0], None) if structs else (kind, expected)
    return kind, expected


def _parts(value: object, kind: Any, place: _Place) -> Iterator[tuple[_Place, object, Any]]:
    """Yield place, value and type of each part of a value."""
    origin, inside = typing.get_origin(kind), str(place)
    if isinstance(value, dict) and _is_struct(kind):
        for field in msgspec.structs.fields(kind):
            if field.encode_name in value:
                yield _Place(inside, field.encode_name), value[field.encode_name], field.type
    elif isinstance(value, dict) and origin is dict:
        for name, part in value.items():
            yield _Place(inside, name), part, typing.get_args(kind)[1]
    elif isinstance(value, list) and origin is tuple:
        for index, part in enumerate(value):
            yield _Place(place.parent, f"{place.name}[{index}]"), part, typing.get_args(kind)[0]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{type(value).__name__} {text[:30]}.."
