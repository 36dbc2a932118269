"""A family folder's manifest: what its graphs take and give, and the hash of every file, verified on load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from engines import manifest_file
from engines.errors import ManifestError
from engines.manifest_file import GraphEntry, ModelEntry, StageEntry, TypedTensor

# What frames pass through, those that the family has; others are alternatives.
FRAME_STAGES = ("expression", "pose", "motion", "render", "paint")
SOUND_STAGES = FRAME_STAGES[:2]  # what sound passes through in every session, whether or not its face is drawn
Dim = int | str


@dataclass(frozen=True)
class TensorSpec:
    """Shape and dtype of one tensor. A dimension is a number, or a symbol ("n") for any; dtype is float32 or uint8."""

    shape: tuple[Dim, ...]
    dtype: str = "float32"

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class GraphFile:
    """One ONNX file. precision: the lowest it may run in, fp32, bf16 or fp16; fp16 is in the file's own types."""

    path: Path
    precision: str


@dataclass(frozen=True)
class GraphSpec:
    """One ONNX graph of a stage. precision: the lowest it may run in, fp32, bf16 or fp16.

    alternatives: other files that compute the same from the same, for backends that want it another way.
    quantised: one that computes it in 8-bit integers, on the CPU.
    """

    path: Path
    precision: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    alternatives: Mapping[str, GraphFile] = field(default_factory=dict)
    quantised: GraphFile | None = None

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
    layer_scale: pixels of what the paint stage paints for one of the network's picture.
    process: name of the procedure that a stage follows, with its graphs or without any.
    """

    name: str
    graphs: tuple[GraphSpec, ...]
    lookahead_ms: int
    context: tuple[int, int] = (0, 0)
    conditions: Path | None = None
    rig: Path | None = None
    process: str | None = None
    layer_scale: int = 1

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
        found = manifest_file.read(folder)
        for entry in found.files:
            manifest_file.verify(folder, entry)
        return cls(
            folder=folder,
            family=found.family,
            version=found.version,
            licence=found.licence,
            built_by=found.built_by,
            fps=found.fps,
            sample_rate=found.sample_rate,
            size=found.size,
            coefficients=CoefficientLayout(found.coefficients.expression, found.coefficients.pose),
            stages={name: _stage(folder, name, stage) for name, stage in found.stages.items()},
            default_avatar=found.default_avatar,
            avatars=found.avatars,
        )

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


def _stage(folder: Path, name: str, stage: StageEntry) -> StageSpec:
    return StageSpec(
        name=name,
        graphs=tuple(_graph(folder, graph) for graph in stage.graphs),
        lookahead_ms=stage.lookahead_ms,
        context=(stage.context.past, stage.context.future) if stage.context else (0, 0),
        conditions=folder / stage.conditions if stage.conditions else None,
        rig=folder / stage.rig if stage.rig else None,
        process=stage.process,
        layer_scale=stage.layer_scale,
    )


def _graph(folder: Path, graph: GraphEntry) -> GraphSpec:
    file = _file(folder, graph)
    return GraphSpec(
        path=file.path,
        precision=file.precision,
        inputs=_tensors(graph.inputs),
        outputs=_tensors(graph.outputs),
        alternatives={backend: _file(folder, entry) for backend, entry in graph.alternatives.items()},
        quantised=_file(folder, graph.quantised) if graph.quantised else None,
    )


def _file(folder: Path, entry: ModelEntry) -> GraphFile:
    return GraphFile(manifest_file.verify(folder, entry), entry.precision)


def _tensors(entries: Mapping[str, tuple[Dim, ...] | TypedTensor]) -> dict[str, TensorSpec]:
    return {
        name: TensorSpec(entry.shape, entry.dtype) if isinstance(entry, TypedTensor) else TensorSpec(entry)
        for name, entry in entries.items()
    }
