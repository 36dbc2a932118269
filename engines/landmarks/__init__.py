"""MediaPipe's face models as graphs for any CPU engine (made by `export.tools.landmarks`; see LICENSE here).

Each takes `picture`, float32 [1, S, S, 3], RGB: the detectors in -1..1, mesh and iris in 0..1.
"""

from __future__ import annotations

from pathlib import Path

from engines.chain import GraphChain
from engines.manifest import GraphSpec, StageSpec, TensorSpec
from engines.runtime import Engine, find_cpu_backend

FOLDER = Path(__file__).parent
_SHAPES: dict[str, tuple[int, dict[str, tuple[int, ...]]]] = {  # side of the picture, shapes of the outputs
    "near_faces": (128, {"boxes": (1, 896, 16), "scores": (1, 896, 1)}),
    "far_faces": (192, {"boxes": (1, 2304, 16), "scores": (1, 2304, 1)}),
    "mesh": (192, {"points": (1, 1, 1, 1404), "presence": (1, 1, 1, 1)}),
    "iris": (64, {"lids": (1, 213), "rim": (1, 15)}),
}
MODELS = tuple(_SHAPES)


def open_model(name: str, threads: int = 2) -> Engine:
    """Open and activate one of MODELS on this machine's CPU engine.

    Raises:
        EngineError: no engine is installed, or the file is damaged.
    """
    side, outputs = _SHAPES[name]
    graph = GraphSpec(
        FOLDER / f"{name}.onnx",
        "fp32",  # landmarks are coordinates: bfloat16 is off by a pixel
        {"picture": TensorSpec((1, side, side, 3))},
        {output: TensorSpec(shape) for output, shape in outputs.items()},
    )
    backend = find_cpu_backend()
    engine = GraphChain(StageSpec(f"landmarks {name}", (graph,), 0), lambda spec: backend.compile(spec, threads))
    engine.activate()
    return engine
