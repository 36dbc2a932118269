"""Silero's voice activity detector (silero-vad 6.2.3, MIT; see LICENSE here), as a graph that every CPU engine runs.

One call hears 32 ms: `input` float32 [1, 576], 64 samples of the call before and 512 new ones at 16 kHz in -1..1, and
`state` [2, 1, 128] of the call before; it gives `output` [1, 1], how likely somebody speaks, and `stateN`.
"""

from __future__ import annotations

from pathlib import Path

from engines.chain import GraphChain
from engines.manifest import GraphSpec, StageSpec, TensorSpec
from engines.runtime import Engine, find_cpu_backend

CONTEXT, CHUNK = 64, 512
STATE = (2, 1, 128)


def open_model() -> Engine:
    """The detector, active, on the CPU engine of this machine, in one thread.

    Raises:
        EngineError: no engine is installed, or the file is damaged.
    """
    graph = GraphSpec(
        Path(__file__).parent / "silero_vad.onnx",
        "fp32",
        {"input": TensorSpec((1, CONTEXT + CHUNK)), "state": TensorSpec(STATE)},
        {"output": TensorSpec((1, 1)), "stateN": TensorSpec(STATE)},
    )
    backend = find_cpu_backend()
    engine = GraphChain(StageSpec("voice activity", (graph,), 0), lambda spec: backend.compile(spec, 1))
    engine.activate()
    return engine
