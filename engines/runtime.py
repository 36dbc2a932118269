"""The `Engine` protocol, and how a stage of a family is opened on this machine."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engines.manifest import Manifest, StageSpec

FloatArray = NDArray[np.float32]


class Binding(Protocol):
    """An engine with some of its inputs held, such as what belongs to an avatar and never changes between frames."""

    def infer(self, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Run the stage on the held inputs and these; arrays returned are the caller's own."""


class Engine(Protocol):
    """One stage, runnable. Not safe to use from two threads at a time."""

    @property
    def spec(self) -> StageSpec:
        """What the stage takes and gives."""

    def activate(self) -> None:
        """Compile and warm up; a second call does nothing."""

    def infer(self, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Run the stage; every input and output by the manifest's names, checked against its shapes."""

    def bind(self, constants: Mapping[str, FloatArray], outputs: Collection[str] | None = None) -> Binding:
        """Hold `constants` for many calls, so that they are checked and handed over once.

        outputs: the outputs wanted from each call; None is all of them.
        """

    def deactivate(self) -> None:
        """Release what `activate` took; bindings made before are dead."""


def open_stage(manifest: Manifest, stage: str, *, backend: str | None = None, threads: int = 2) -> Engine:
    """An engine for one stage, not yet active.

    backend: "openvino" or "onnxruntime"; None takes AVATAR_ENGINE, else the first of the two that is installed.

    Raises:
        EngineError: unknown backend, or none installed.
    """
    raise NotImplementedError


class Engines:
    """All stages of a family, opened and warmed up once per process and shared by its sessions."""

    manifest: Manifest

    @classmethod
    def open(cls, manifest: Manifest, *, backend: str | None = None, threads: int = 2) -> Engines:
        """Open and activate every stage that has graphs."""
        raise NotImplementedError

    def __getitem__(self, stage: str) -> Engine:
        raise NotImplementedError

    def close(self) -> None:
        """Deactivate every stage."""
        raise NotImplementedError
