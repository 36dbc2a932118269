"""A family folder's manifest: what its graphs take and give, and the hash of every file, verified on load."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engines.errors import ManifestError

FORMAT = 1
FILE_NAME = "manifest.json"
STAGES = ("expression", "pose", "motion", "appearance", "render")
Precision = Literal["fp32", "bf16"]
Dim = int | str
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class TensorSpec:
    """Shape and dtype of one tensor. A dimension is a number or a symbol ("n") that any number may stand for."""

    shape: tuple[Dim, ...]
    dtype: Literal["float32", "uint8"] = "float32"

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class GraphSpec:
    """One ONNX graph of a stage."""

    path: Path
    precision: Precision
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]


@dataclass(frozen=True)
class StageSpec:
    """One stage. Its graphs run in order, and values flow between them by name.

    context: frames before and after the current one that the motion stage sees, (past, future).
    conditions: file the render stage's driving conditions are drawn from.
    process: name of the procedure a stage without graphs follows.
    """

    name: str
    graphs: tuple[GraphSpec, ...]
    lookahead_ms: int
    context: tuple[int, int] = (0, 0)
    conditions: Path | None = None
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
    """A verified family folder."""

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
        raise NotImplementedError

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
        """All the future a frame can use: the stages' look-aheads added up."""
        return sum(stage.lookahead_ms for stage in self.stages.values())
