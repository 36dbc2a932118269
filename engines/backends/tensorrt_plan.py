"""TensorRT engine files: their location, the model and machine they were built for, and whether they fit this machine.

An engine is built on the machine that runs it, by `make export-engines TARGET=tensorrt`: it fits one ONNX file, one
version of TensorRT and one model of GPU. It lies beside its ONNX file, in a separate folder, with a side file (JSON)
that says all that; the names of both carry a hash of it, so engines for several machines can share a folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from engines import json_file
from engines.backends.gpu import Gpu
from engines.errors import EngineError, ManifestError
from engines.files import write_bytes
from engines.json_file import Text
from engines.manifest_file import sha256

FOLDER = "tensorrt"
FORMAT = 1
REBUILD = "build it here with `make export-engines TARGET=tensorrt`"


@dataclass(frozen=True)
class PlanKey:
    """What an engine belongs to. builder: "tensorrt" or "tensorrt_rtx"; version: the builder's, all its numbers."""

    onnx_sha256: str
    builder: str
    version: str
    gpu: str
    capability: str

    @classmethod
    def of(cls, onnx: Path, builder: str, version: str, gpu: Gpu | None) -> PlanKey:
        """The key of an engine for `onnx` on this machine; gpu None: built ahead of time, for any that it supports."""
        return cls(sha256(onnx), builder, version, gpu.name if gpu else "any", gpu.capability if gpu else "any")

    def path_beside(self, onnx: Path) -> Path:
        """Where the engine lies."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        return onnx.parent / FOLDER / f"{onnx.stem}-{digest[:16]}.engine"


class _About(msgspec.Struct):
    """The form of a side file: the fields of a key, and what is checked or read by people."""

    onnx_sha256: Text
    builder: Text
    version: Text
    gpu: Text
    capability: Text
    engine_sha256: Text
    onnx: str = ""
    notes: dict[str, object] = {}
    format: int = FORMAT

    def key(self) -> PlanKey:
        """What the engine belongs to."""
        return PlanKey(self.onnx_sha256, self.builder, self.version, self.gpu, self.capability)


def side_file(plan: Path) -> Path:
    """The file that says what an engine was built for."""
    return plan.with_suffix(".json")


def write_plan(key: PlanKey, onnx: Path, plan: bytes, notes: Mapping[str, object]) -> Path:
    """Write an engine and its side file, each under a temporary name first; the side file last, as it is what is read.

    notes: remarks on the build, for people.
    """
    path = key.path_beside(onnx)
    path.parent.mkdir(exist_ok=True)
    digest = hashlib.sha256(plan).hexdigest()
    write_bytes(path, plan)
    json_file.write(side_file(path), _About(**asdict(key), engine_sha256=digest, onnx=onnx.name, notes=dict(notes)))
    return path


def find_plan(onnx: Path, builder: str, version: str, gpu: Gpu) -> Path:
    """The engine of `onnx` for this machine, its contents checked.

    Raises:
        EngineError: none was built, or only for another ONNX file, TensorRT version or GPU; or it is damaged.
        ManifestError: the same, of the side file.
    """
    wanted = PlanKey.of(onnx, builder, version, gpu)
    path = wanted.path_beside(onnx)
    if side_file(path).is_file() and path.is_file():
        if sha256(path) != json_file.read(side_file(path), _About).engine_sha256:
            raise EngineError(f"{path}: damaged; {REBUILD}")
        return path
    near = [key for key in map(_read_key, sorted(path.parent.glob(f"{onnx.stem}-*.json"))) if key]
    if not near:
        raise EngineError(f"{onnx}: no TensorRT engine for it; {REBUILD}")
    raise EngineError(f"{onnx}: no TensorRT engine fits: {_difference(wanted, near[-1])}; {REBUILD}")


def has_plans(onnx: Path) -> bool:
    """Whether any engine was built for an ONNX file of this name, for this machine or another."""
    return any((onnx.parent / FOLDER).glob(f"{onnx.stem}-*.json"))


def _read_key(path: Path) -> PlanKey | None:
    """What a side file says, if it is one."""
    try:
        return json_file.read(path, _About).key()
    except ManifestError:
        return None


def _difference(wanted: PlanKey, found: PlanKey) -> str:
    """The first thing that differs, in words."""
    if found.onnx_sha256 != wanted.onnx_sha256:
        return "the one there was built from another version of this file"
    if found.builder != wanted.builder:
        return f"the one there was built by {found.builder}, this machine runs {wanted.builder}"
    if found.version != wanted.version:
        return f"the one there was built by TensorRT {found.version}, this machine has {wanted.version}"
    return (
        f"the one there was built for {found.gpu} (compute capability {found.capability}), "
        f"this machine has {wanted.gpu} ({wanted.capability})"
    )
