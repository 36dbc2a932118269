"""Silero's voice activity detector (silero-vad 6.2.3, MIT; see LICENSE here), as a graph for any CPU engine.

One call covers 32 ms. It takes `input` float32 [1, 576], the last 64 samples of the previous call and 512 new ones at
16 kHz in -1..1, and `state` [2, 1, 128] from the previous call. It returns `output` [1, 1], the probability of speech,
and `stateN`.
"""

from __future__ import annotations

from pathlib import Path

from engines.chain import GraphChain
from engines.manifest import GraphSpec, StageSpec, TensorSpec
from engines.runtime import Engine, find_cpu_backend

CONTEXT, CHUNK = 64, 512
STATE = (2, 1, 128)


def open_model() -> Engine:
    """Open and activate the detector on this machine's CPU engine, with one thread.

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
