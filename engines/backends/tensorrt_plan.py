"""TensorRT engine files: their location, the model and machine they were built for, and whether they fit this machine.

An engine is built on the machine that runs it, by `make export-engines TARGET=tensorrt`: it fits one ONNX file, one
version of TensorRT and one model of GPU. It is stored in a folder beside its ONNX file, with a JSON side file that
records these. Both names contain a hash of them, so engines for several machines can share a folder.
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
    """Identity of an engine. builder: "tensorrt" or "tensorrt_rtx"; version: its full version."""

    onnx_sha256: str
    builder: str
    version: str
    gpu: str
    capability: str

    @classmethod
    def of(cls, onnx: Path, builder: str, version: str, gpu: Gpu | None) -> PlanKey:
        """Make the key of an engine for `onnx` on this machine; gpu None: built ahead of time for any supported GPU."""
        return cls(sha256(onnx), builder, version, gpu.name if gpu else "any", gpu.capability if gpu else "any")

    def path_beside(self, onnx: Path) -> Path:
        """Return the path of the engine for an ONNX file."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        return onnx.parent / FOLDER / f"{onnx.stem}-{digest[:16]}.engine"


class _About(msgspec.Struct):
    """Schema of a side file: the fields of a key, the engine's hash, and notes for readers."""

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
        """Return the key of the engine."""
        return PlanKey(self.onnx_sha256, self.builder, self.version, self.gpu, self.capability)


def side_file(plan: Path) -> Path:
    """Return the path of an engine's side file."""
    return plan.with_suffix(".json")


def write_plan(key: PlanKey, onnx: Path, plan: bytes, notes: Mapping[str, object]) -> Path:
    """Write an engine and its side file, each atomically; the side file last, as lookups start from it.

    notes: remarks on the build, for readers of the file.
    """
    path = key.path_beside(onnx)
    path.parent.mkdir(exist_ok=True)
    digest = hashlib.sha256(plan).hexdigest()
    write_bytes(path, plan)
    json_file.write(side_file(path), _About(**asdict(key), engine_sha256=digest, onnx=onnx.name, notes=dict(notes)))
    return path


def find_plan(onnx: Path, builder: str, version: str, gpu: Gpu) -> Path:
    """Find the engine of `onnx` for this machine, and check its contents.

    Raises:
        EngineError: none was built, or only for another ONNX file, TensorRT version or GPU; or it is damaged.
        ManifestError: the side file is damaged.
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
    """Return whether any engine was built for an ONNX file of this name, for this machine or another."""
    return any((onnx.parent / FOLDER).glob(f"{onnx.stem}-*.json"))


def _read_key(path: Path) -> PlanKey | None:
    """Read the key of a side file; None if it is not valid."""
    try:
        return json_file.read(path, _About).key()
    except ManifestError:
        return None


def _difference(wanted: PlanKey, found: PlanKey) -> str:
    """Describe the first difference of two keys."""
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
