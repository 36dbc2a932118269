"""Builds a family of engines from the official networks: ONNX graphs and the manifest that ties them together."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from torch import nn

from engines.manifest import FILE_NAME, FORMAT
from export.half import to_half
from export.networks.audio import EXPRESSION
from export.onnx_file import TOOLS, GraphPlan, file_entry, save, tensor_entries, trace
from export.sadtalker.plans import WINDOW, stage_plans

SIZES = (256, 512)
PRECISIONS = ("fp32", "fp16")
FPS, SAMPLE_RATE = 25, 16000
POSE = ("pitch", "yaw", "roll", "tx", "ty", "tz")
EXPRESSION_LOOKAHEAD_MS = 145  # from a frame's start to the end of its mel window
CONTEXT = WINDOW // 2  # frames before and after
MOTION_LOOKAHEAD_MS = CONTEXT * 1000 // FPS
LICENCE = "that of the checkpoints it was made from"
ON_GPU = ("appearance", "render")  # the stages that a GPU is worth it for
GPU_BACKENDS = ("tensorrt", "onnxruntime-gpu")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Origin:
    """Where a family's weights come from. checkpoint: a hash of them; text: for people."""

    checkpoint: str
    text: str


def build_family(
    networks: Mapping[str, nn.Module],
    folder: Path,
    *,
    origin: Origin | None = None,
    size: int = 256,
    precision: str = "fp16",
    say: Say = lambda _: None,
) -> Path:
    """Write the family `sadtalker-<size>` into `folder`, which takes its place only when it is complete.

    networks: all seven of `export.networks.registry`, their weights loaded.
    precision: what the per-frame networks may be computed in; "fp16" adds float16 graphs for GPUs, and lets CPUs that
    have it use bfloat16.
    """
    origin = origin or Origin(weights_hash(networks), "weights of unknown origin")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as name:
        work = Path(name) / "family"
        work.mkdir()
        writer = _Writer(work, f"sadtalker-{size}", origin, precision == "fp16")
        stages = {}
        for stage, plans in stage_plans(networks, size).items():
            stages[stage] = {"graphs": [writer.write(stage, plan, say) for plan in plans], **_about(stage)}
        (work / FILE_NAME).write_text(json.dumps(_manifest(size, origin, stages), indent=1) + "\n")
        replace_folder(work, folder)
    return folder


def replace_folder(new: Path, folder: Path) -> None:
    """Put `new` in the place of `folder`, on the same file system, so that there is always a complete one or none."""
    old = new.with_name("old")
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


class _Writer:
    """Writes graphs of one family and describes them for its manifest."""

    def __init__(self, folder: Path, family: str, origin: Origin, half: bool) -> None:
        self._folder, self._half = folder, half
        self._labels = {"family": family, "checkpoint_sha256": origin.checkpoint, "tools": TOOLS}

    def write(self, stage: str, plan: GraphPlan, say: Say) -> dict[str, Any]:
        """Write a graph in all its forms and return its entry."""
        half = plan.half and self._half
        say(f"{stage}: {plan.name}{' (float32 and float16)' if half else ''}")
        model, entry = self._file(stage, plan, plan.module, plan.name, "bf16" if half else "fp32")
        alternatives = {}
        if stage in ON_GPU:
            on_gpu = entry
            if half:
                path = self._folder / f"{plan.name}_fp16.onnx"
                save(to_half(model), path, self._labels | {"stage": stage, "precision": "fp16"})
                on_gpu = file_entry(path, "fp16")
            alternatives = dict.fromkeys(GPU_BACKENDS, on_gpu)
        if plan.openvino is not None:
            alternatives["openvino"] = self._file(
                stage, plan, plan.openvino, f"{plan.name}_openvino", entry["precision"]
            )[1]
        return entry | tensor_entries(plan) | ({"alternatives": alternatives} if alternatives else {})

    def _file(
        self, stage: str, plan: GraphPlan, module: nn.Module, name: str, precision: str
    ) -> tuple[onnx.ModelProto, dict[str, Any]]:
        path = self._folder / f"{name}.onnx"
        model = trace(module, plan, path)
        save(model, path, self._labels | {"stage": stage, "precision": "fp32"})
        return model, file_entry(path, precision)


def _about(stage: str) -> dict[str, Any]:
    """What the manifest says of a stage besides its graphs."""
    if stage == "expression":
        return {"lookahead_ms": EXPRESSION_LOOKAHEAD_MS}
    if stage.startswith("motion"):
        return {"lookahead_ms": MOTION_LOOKAHEAD_MS, "context": {"past": CONTEXT, "future": CONTEXT}}
    if stage == "pose":
        return {"lookahead_ms": 0, "process": "pose-vae"}  # made a block ahead, from past sound
    return {"lookahead_ms": 0}


def _manifest(size: int, origin: Origin, stages: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "family": f"sadtalker-{size}",
        "version": origin.checkpoint[:12],
        "licence": LICENCE,
        "built_by": f"export.family, {TOOLS}, from {origin.text}",
        "fps": FPS,
        "sample_rate": SAMPLE_RATE,
        "size": size,
        "coefficients": {"expression": [f"exp_{i}" for i in range(EXPRESSION)], "pose": list(POSE)},
        "stages": dict(stages),
        "files": [],
        "default_avatar": "",
        "avatars": [],
    }


def weights_hash(networks: Mapping[str, nn.Module]) -> str:
    """SHA-256 over the names and values of all weights: the same for every file that holds them."""
    digest = hashlib.sha256()
    for network in sorted(networks):
        for key, value in sorted(networks[network].state_dict().items()):
            digest.update(f"{network}.{key}{list(value.shape)}".encode())
            digest.update(value.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()
