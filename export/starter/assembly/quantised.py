"""Quantise the decoder to 8-bit integers after training, calibrated on pictures of the family's own characters.

Weights are quantised per channel, activations per tensor, around convolutions only (ONNX Runtime's QDQ form, which
OpenVINO reads as well). The flow's network is not quantised: with 13 dB its flow would be useless.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from engines import manifest_file
from engines.chain import GraphChain, Tensor
from engines.files import replacing
from engines.manifest import Manifest
from engines.manifest_file import ManifestFile, ModelEntry, sha256
from engines.runtime import Engines, find_cpu_backend
from streamer.avatar.bundle import Avatar, open_rasterizer
from streamer.core.frames import CoefficientWindow
from streamer.stages.drawing.face_flow import FaceFlow
from streamer.stages.motion import MotionStage

DECODE, FILE = "paint_decode.onnx", "paint_decode_int8.onnx"
LAST = "/paint/Conv"  # colours and alpha: stays float32
FACES = 12  # random expressions per character
MOVED, MOST = 6, 0.7  # units moved in an expression, and their largest strength
SEED = 5


class _Samples(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, samples: Iterator[dict[str, Any]]) -> None:
        self._samples = samples

    def get_next(self) -> dict[str, Any] | None:
        return next(self._samples, None)


def quantise(folder: Path) -> None:
    """Quantise the decoder of the family in `folder`, and enter it in the manifest beside the original."""
    with Engines.open(Manifest.load(folder), threads=1) as engines, replacing(folder / FILE) as partial:
        quantize_static(
            str(folder / DECODE),
            str(partial),
            _Samples(samples(engines)),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=["Conv", "ConvTranspose"],
            nodes_to_exclude=[LAST],
        )

    def edit(manifest: ManifestFile) -> None:
        for graph in manifest.stages["paint"].graphs:
            if graph.file == DECODE:
                graph.quantised = ModelEntry(FILE, sha256(folder / FILE), "int8")

    manifest_file.change(folder, edit)


def samples(engines: Engines) -> Iterator[dict[str, Tensor]]:
    """Yield the decoder's inputs for both windows of random expressions of each character."""
    random = np.random.default_rng(SEED)
    stage = engines.manifest.stage("paint")
    backend = find_cpu_backend()
    sampling = GraphChain(replace(stage, graphs=stage.graphs[:1]), lambda graph: backend.compile(graph, 1))
    sampling.activate()
    rasterizer = open_rasterizer(engines["render"].spec)
    assert rasterizer is not None
    height, width = (int(side) for side in stage.inputs["conditions"].shape[-2:])
    for name in engines.manifest.avatars:
        avatar = Avatar.load(engines, name)
        flow, motion = (
            FaceFlow(engines["render"], avatar, engines.manifest.size),
            MotionStage(engines["motion"], avatar),
        )
        for _ in range(FACES):
            points = motion.infer([_expression(engines, random)])[0].points
            conditions = rasterizer.draw(points)
            given: Mapping[str, Tensor] = flow.refined(
                {"driving_keypoints": points[None], "driving_conditions": conditions[None]}, points
            )
            for top, left in avatar.constants["windows"].astype(int):
                held = avatar.constants_of(sampling.spec) | {"window": np.array([[top, left]], np.float32)}
                part = conditions[None, :, top : top + height, left : left + width]
                yield sampling.infer({**held, **given}) | {"conditions": np.ascontiguousarray(part)}


def _expression(engines: Engines, random: np.random.Generator) -> CoefficientWindow:
    """Return a constant expression with MOVED units at random strengths."""
    units = len(engines.manifest.coefficients.expression)
    values = np.zeros((len(engines.manifest.coefficients), 3), np.float32)
    values[random.choice(units, MOVED, replace=False)] = random.uniform(0, MOST, (MOVED, 1))
    return CoefficientWindow(0, values)
