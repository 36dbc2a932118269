"""Schema, reading and writing of `manifest.json`, which describes a family's files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from engines import json_file
from engines.errors import ManifestError
from engines.json_file import Natural, Positive, Text, form

FORMAT = 1
FILE_NAME = "manifest.json"
BACKENDS = ("tensorrt", "onnxruntime-gpu", "openvino", "onnxruntime")
_READ_BYTES = 1 << 20

Precision = Annotated[Literal["fp32", "bf16", "fp16", "int8"], form("one of fp32, bf16, fp16, int8")]
Dtype = Annotated[Literal["float32", "uint8"], form("one of float32, uint8")]
FileName = Annotated[
    str, form("a file inside the folder", pattern=r"^(?!/)(?!(.*/)?\.\.(/|$))[^\\]+$")
]  # with forward slashes
Dim = Annotated[int, msgspec.Meta(gt=0, le=1 << 20)] | Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_]\w*$")]
Shape = Annotated[tuple[Dim, ...], form('a shape such as ["n", 1, 80, 16]')]
Names = Annotated[tuple[str, ...], form("a list of strings")]


class TypedTensor(msgspec.Struct, frozen=True):
    """A tensor whose dtype is not the default, float32."""

    shape: Shape
    dtype: Dtype


Tensor = Annotated[Shape | TypedTensor, form('a shape such as ["n", 1, 80, 16]')]  # a plain shape means float32


class FileEntry(msgspec.Struct, omit_defaults=True):
    """A file and the SHA-256 of its contents."""

    file: FileName
    sha256: Text

    @classmethod
    def of(cls, folder: Path, path: Path) -> FileEntry:
        """Make the entry of a file in the family's folder. Raises OSError."""
        return cls(path.relative_to(folder).as_posix(), sha256(path))


class ModelEntry(FileEntry, omit_defaults=True):
    """An ONNX file. precision: the lowest that it may run in."""

    precision: Precision


class GraphEntry(ModelEntry, omit_defaults=True):
    """A graph of a stage.

    alternatives: files with the same function, by the backend that needs them; quantised: an approximation in 8-bit
    integers.
    """

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    alternatives: dict[str, ModelEntry] = {}
    quantised: ModelEntry | None = None

    def __post_init__(self) -> None:
        if unknown := set(self.alternatives) - set(BACKENDS):
            names = ", ".join(sorted(unknown))
            raise ValueError(f"alternatives: no backend {names}; expected some of {', '.join(BACKENDS)}")


class Context(msgspec.Struct, frozen=True):
    """Number of frames before and after the current one that a stage sees."""

    past: Natural
    future: Natural


class StageEntry(msgspec.Struct, omit_defaults=True):
    """A stage; see `engines.manifest.StageSpec` for the meaning of each field."""

    lookahead_ms: Natural
    graphs: tuple[GraphEntry, ...] = ()
    context: Context | None = None
    process: Text | None = None
    conditions: FileName | None = None
    rig: FileName | None = None
    layer_scale: Positive = 1


class Coefficients(msgspec.Struct, frozen=True):
    """Names of the coefficients, in order, without duplicates."""

    expression: Names
    pose: Names

    def __post_init__(self) -> None:
        _none_twice("expression", self.expression)
        _none_twice("pose", self.pose)


class ManifestFile(msgspec.Struct, kw_only=True):
    """A whole manifest. default_avatar is empty if the family comes without avatars."""

    format: Natural = FORMAT
    family: Text
    version: Text
    licence: Text
    built_by: Text
    fps: Positive
    sample_rate: Positive
    size: Positive
    coefficients: Coefficients
    stages: dict[str, StageEntry]
    files: tuple[FileEntry, ...]
    default_avatar: Text
    avatars: Names

    def __post_init__(self) -> None:
        _none_twice("avatars", self.avatars)
        if self.default_avatar not in (self.avatars or ("",)):
            raise ValueError(f"default_avatar is {self.default_avatar}, not one of {', '.join(self.avatars)}")


def read(folder: Path) -> ManifestFile:
    """Read the manifest of the family in `folder`; the files it names are not checked.

    Raises:
        ManifestError: the manifest is missing or of another format, or a field is missing or malformed.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise ManifestError(f"{folder}: no {FILE_NAME} there; a family of engines is a folder that holds one")
    return json_file.read_format(path, ManifestFile, FORMAT)


def write(folder: Path, manifest: ManifestFile) -> None:
    """Write the manifest of the family in `folder`. Raises OSError."""
    json_file.write(folder / FILE_NAME, manifest)


def change(folder: Path, edit: Callable[[ManifestFile], None]) -> None:
    """Change the manifest of the family in `folder` with `edit`, and write it. Raises ManifestError, OSError."""
    manifest = read(folder)
    edit(manifest)
    write(folder, manifest)


def verify(folder: Path, entry: FileEntry) -> Path:
    """Return the path of an entry's file, after checking its contents against the hash.

    Raises:
        ManifestError: the file is missing or has another hash.
    """
    path = folder / entry.file
    if not path.is_file():
        raise ManifestError(f"{path}: missing, though {folder / FILE_NAME} names it; install this family again")
    found = sha256(path)
    if found != entry.sha256:
        raise ManifestError(
            f"{path}: damaged or replaced (SHA-256 {found[:12]}.., {FILE_NAME} says {entry.sha256[:12]}..); "
            "install this family again"
        )
    return path


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's contents, in hexadecimal. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _none_twice(name: str, names: tuple[str, ...]) -> None:
    if len(set(names)) != len(names):
        raise ValueError(f"{name} names something twice")
