"""A family folder's manifest: inputs and outputs of its graphs, and a hash of every file, verified on load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from engines import manifest_file
from engines.errors import ManifestError
from engines.manifest_file import GraphEntry, ModelEntry, StageEntry, TypedTensor

# Stages that a frame passes through, if the family has them; other stages are alternatives.
FRAME_STAGES = ("expression", "pose", "motion", "render", "paint")
SOUND_STAGES = FRAME_STAGES[:2]  # run on the sound of every session, whether or not its face is drawn
Dim = int | str


@dataclass(frozen=True)
class TensorSpec:
    """Shape and dtype of a tensor. A dimension is a number, or a symbol ("n") for any size; dtype float32 or uint8."""

    shape: tuple[Dim, ...]
    dtype: str = "float32"

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class GraphFile:
    """An ONNX file. precision: the lowest that it may run in, fp32, bf16 or fp16; fp16 is set by the file's types."""

    path: Path
    precision: str


@dataclass(frozen=True)
class GraphSpec:
    """An ONNX graph of a stage. precision: the lowest that it may run in, fp32, bf16 or fp16.

    alternatives: files with the same function, by the backend that needs them.
    quantised: an approximation in 8-bit integers, for the CPU.
    """

    path: Path
    precision: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    alternatives: Mapping[str, GraphFile] = field(default_factory=dict)
    quantised: GraphFile | None = None

    def for_backend(self, backend: str) -> GraphSpec:
        """Return the graph to load with `backend`: with the alternative's path and precision, if there is one."""
        chosen = self.alternatives.get(backend)
        return replace(self, path=chosen.path, precision=chosen.precision, alternatives={}) if chosen else self

    def path_for(self, backend: str) -> Path:
        """Return the file to load with `backend`."""
        return self.for_backend(backend).path


@dataclass(frozen=True)
class StageSpec:
    """A stage. Its graphs run in order, and values pass between them by name.

    context: frames before and after the current one that the motion stage sees, (past, future).
    conditions: topology file for drawing the render stage's condition maps.
    rig: file of the face rig fitted to a photo's landmarks, for a coefficients stage with process "fit-rig".
    layer_scale: pixels that the paint stage paints per pixel of the network's picture, per side.
    process: name of the procedure that a stage follows, with or without graphs.
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
        """Inputs of the stage: those of its graphs that no earlier graph makes."""
        made: set[str] = set()
        needed: dict[str, TensorSpec] = {}
        for graph in self.graphs:
            needed |= {name: spec for name, spec in graph.inputs.items() if name not in made and name not in needed}
            made |= set(graph.outputs)
        return needed

    @property
    def outputs(self) -> dict[str, TensorSpec]:
        """All outputs of the stage's graphs."""
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
    """A verified family folder. default_avatar is empty if the family comes without avatars."""

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
        """Read `folder`/manifest.json and verify every file it names.

        Raises:
            ManifestError: the manifest or a file is missing or altered, the format is another, or a field is wrong.
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
        """Return the stage called `name`.

        Raises:
            ManifestError: the family has no such stage.
        """
        try:
            return self.stages[name]
        except KeyError:
            raise ManifestError(f"family {self.family}: no stage {name}; it has {', '.join(self.stages)}") from None

    @property
    def lookahead_ms(self) -> int:
        """The largest useful look-ahead of a frame: the sum of those of the stages it passes through."""
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
