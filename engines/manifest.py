"""A family folder's manifest: what its graphs take and give, and the hash of every file, verified on load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from engines.errors import ManifestError
from engines.fields import Fields, read_object, verify_file

FORMAT = 1
FILE_NAME = "manifest.json"
PRECISIONS = ("fp32", "bf16", "fp16")
BACKENDS = ("tensorrt", "onnxruntime-gpu", "openvino", "onnxruntime")
DTYPES = ("float32", "uint8")
FRAME_STAGES = ("expression", "pose", "motion", "render")  # what every frame passes through; others are alternatives
Dim = int | str


@dataclass(frozen=True)
class TensorSpec:
    """Shape and dtype of one tensor. A dimension is a number, or a symbol ("n") for any; dtype is one of DTYPES."""

    shape: tuple[Dim, ...]
    dtype: str = "float32"

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class GraphFile:
    """One ONNX file. precision: the lowest it may run in, one of PRECISIONS; fp16 is in the file's own types."""

    path: Path
    precision: str


@dataclass(frozen=True)
class GraphSpec:
    """One ONNX graph of a stage. precision: the lowest it may run in, one of PRECISIONS.

    alternatives: other files that compute the same from the same, for backends (of BACKENDS) that want it another way.
    """

    path: Path
    precision: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    alternatives: Mapping[str, GraphFile] = field(default_factory=dict)

    def for_backend(self, backend: str) -> GraphSpec:
        """The graph as `backend` is to load it: its alternative's path and precision where there is one."""
        chosen = self.alternatives.get(backend)
        return replace(self, path=chosen.path, precision=chosen.precision, alternatives={}) if chosen else self

    def path_for(self, backend: str) -> Path:
        """The file that `backend` is to load."""
        return self.for_backend(backend).path


@dataclass(frozen=True)
class StageSpec:
    """One stage. Its graphs run in order, and values flow between them by name.

    context: frames before and after the current one that the motion stage sees, (past, future).
    conditions: file the render stage's driving conditions are drawn from.
    rig: file of the face rig that is fitted to a photo's landmarks, where the coefficients stage follows "fit-rig".
    process: name of the procedure that a stage follows, with its graphs or without any.
    """

    name: str
    graphs: tuple[GraphSpec, ...]
    lookahead_ms: int
    context: tuple[int, int] = (0, 0)
    conditions: Path | None = None
    rig: Path | None = None
    process: str | None = None

    @property
    def inputs(self) -> dict[str, TensorSpec]:
        """What has to be given to the stage: inputs that no earlier graph of it makes."""
        made: set[str] = set()
        needed: dict[str, TensorSpec] = {}
        for graph in self.graphs:
            needed |= {name: spec for name, spec in graph.inputs.items() if name not in made and name not in needed}
            made |= set(graph.outputs)
        return needed

    @property
    def outputs(self) -> dict[str, TensorSpec]:
        """All that the stage's graphs make."""
        return {name: spec for graph in self.graphs for name, spec in graph.outputs.items()}


@dataclass(frozen=True)
class CoefficientLayout:
    """Names of the coefficients, in order."""

    expression: tuple[str, ...]
    pose: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.expression) + len(self.pose)


@dataclass(frozen=True)
class Manifest:
    """A verified family folder. default_avatar is empty where the family comes without avatars."""

    folder: Path
    family: str
    version: str
    licence: str
    built_by: str
    fps: int
    sample_rate: int
    size: int
    coefficients: CoefficientLayout
    stages: Mapping[str, StageSpec]
    default_avatar: str
    avatars: tuple[str, ...]

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """Read `folder`/manifest.json and check every file it names.

        Raises:
            ManifestError: no manifest, another format, a missing or altered file, or a field of the wrong kind.
        """
        path = folder / FILE_NAME
        if not path.is_file():
            raise ManifestError(f"{folder}: no {FILE_NAME} there; a family of engines is a folder that holds one")
        fields = read_object(path)
        found = fields.integer("format")
        if found != FORMAT:
            raise ManifestError(f"{path}: format {found}, this version reads format {FORMAT}")
        for entry in fields.objects("files"):
            verify_file(folder, entry)
        return _manifest(folder, fields)

    def stage(self, name: str) -> StageSpec:
        """The stage called `name`.

        Raises:
            ManifestError: the family has no such stage.
        """
        try:
            return self.stages[name]
        except KeyError:
            raise ManifestError(f"family {self.family}: no stage {name}; it has {', '.join(self.stages)}") from None

    @property
    def lookahead_ms(self) -> int:
        """All the future a frame can use: the look-aheads of the stages it passes through, added up."""
        return sum(self.stages[name].lookahead_ms for name in FRAME_STAGES if name in self.stages)


def _manifest(folder: Path, fields: Fields) -> Manifest:
    coefficients = fields.child("coefficients")
    stages = fields.child("stages")
    manifest = Manifest(
        folder=folder,
        family=fields.text("family"),
        version=fields.text("version"),
        licence=fields.text("licence"),
        built_by=fields.text("built_by"),
        fps=fields.integer("fps"),
        sample_rate=fields.integer("sample_rate"),
        size=fields.integer("size"),
        coefficients=CoefficientLayout(coefficients.texts("expression"), coefficients.texts("pose")),
        stages={name: _stage(folder, name, stages.child(name)) for name in stages.names()},
        default_avatar=fields.text("default_avatar"),
        avatars=fields.texts("avatars"),
    )
    if manifest.default_avatar not in (manifest.avatars or ("",)):
        raise fields.error(f"default_avatar is {manifest.default_avatar}, not one of {', '.join(manifest.avatars)}")
    return manifest


def _stage(folder: Path, name: str, fields: Fields) -> StageSpec:
    context = fields.child("context") if fields.has("context") else None
    return StageSpec(
        name=name,
        graphs=tuple(_graph(folder, graph) for graph in (fields.objects("graphs") if fields.has("graphs") else ())),
        lookahead_ms=fields.integer("lookahead_ms"),
        context=(context.integer("past"), context.integer("future")) if context else (0, 0),
        conditions=fields.path("conditions", folder) if fields.has("conditions") else None,
        rig=fields.path("rig", folder) if fields.has("rig") else None,
        process=fields.text("process") if fields.has("process") else None,
    )


def _graph(folder: Path, fields: Fields) -> GraphSpec:
    file = _file(folder, fields)
    return GraphSpec(
        path=file.path,
        precision=file.precision,
        inputs=_tensors(fields.child("inputs")),
        outputs=_tensors(fields.child("outputs")),
        alternatives=_alternatives(folder, fields.child("alternatives")) if fields.has("alternatives") else {},
    )


def _file(folder: Path, fields: Fields) -> GraphFile:
    return GraphFile(verify_file(folder, fields), fields.choice("precision", PRECISIONS))


def _alternatives(folder: Path, fields: Fields) -> dict[str, GraphFile]:
    if unknown := set(fields.names()) - set(BACKENDS):
        raise fields.error(f"no backend {', '.join(sorted(unknown))}; expected some of {', '.join(BACKENDS)}")
    return {backend: _file(folder, fields.child(backend)) for backend in fields.names()}


def _tensors(fields: Fields) -> dict[str, TensorSpec]:
    return {name: _tensor(fields, name) for name in fields.names()}


def _tensor(fields: Fields, name: str) -> TensorSpec:
    value = fields.get(name)
    if isinstance(value, dict):
        tensor = fields.child(name)
        return TensorSpec(tensor.dims("shape"), tensor.choice("dtype", DTYPES))
    return TensorSpec(fields.dims(name))
