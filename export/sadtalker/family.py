"""Build a family of engines from the official networks: ONNX graphs and their manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
from torch import Tensor, nn

from engines import manifest_file
from engines.manifest_file import Coefficients, Context, GraphEntry, ManifestFile, ModelEntry, StageEntry, sha256
from export.sadtalker.graphs.plans import WINDOW, stage_plans
from export.sadtalker.networks.audio import EXPRESSION
from export.sadtalker.networks.registry import BUILDERS, Networks
from export.tools.folder import replacing
from export.tools.half import to_half
from export.tools.onnx_file import (
    HALF_TOLERANCE,
    TOOLS,
    GraphPlan,
    check_numbers,
    run_module,
    save,
    tensor_entries,
    trace,
)
from streamer.core.rates import EXPRESSION_LOOKAHEAD, FPS, SAMPLE_RATE, exact_div

SIZES = (256, 512)
PRECISIONS = ("fp32", "fp16")
POSE = ("pitch", "yaw", "roll", "tx", "ty", "tz")
EXPRESSION_LOOKAHEAD_MS = exact_div(EXPRESSION_LOOKAHEAD * 1000, SAMPLE_RATE)
CONTEXT = WINDOW // 2  # frames before and after
MOTION_LOOKAHEAD_MS = CONTEXT * 1000 // FPS
LICENCE = "that of the checkpoints it was made from"
ON_GPU = ("appearance", "render")  # the stages that gain from a GPU
GPU_BACKENDS = ("tensorrt", "onnxruntime-gpu")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Origin:
    """Source of a family's weights. checkpoint: hash; text: readable description."""

    checkpoint: str
    text: str


def build_family(
    networks: Networks,
    folder: Path,
    *,
    origin: Origin | None = None,
    size: int = 256,
    precision: str = "fp16",
    say: Say = lambda _: None,
) -> Path:
    """Write the family `sadtalker-<size>`; it replaces `folder` only when complete."""
    with replacing(folder) as work:
        write_family(networks, work, origin=origin, size=size, precision=precision, say=say)
    return folder


def write_family(
    networks: Networks,
    folder: Path,
    *,
    origin: Origin | None = None,
    size: int = 256,
    precision: str = "fp16",
    say: Say = lambda _: None,
) -> None:
    """Write the graphs and the manifest of `sadtalker-<size>` into an empty folder.

    precision: of the per-frame networks; "fp16" adds float16 graphs for GPUs, and allows bfloat16 on CPUs that have it.

    Raises:
        AvatarError: a graph's result differs from its network's, or weights do not fit float16.
    """
    origin = origin or Origin(weights_hash(networks), "weights of unknown origin")
    writer = _Writer(folder, f"sadtalker-{size}", origin, precision == "fp16")
    stages = {}
    for stage, plans in stage_plans(networks, size).items():
        stages[stage] = _stage(stage, tuple(writer.write(stage, plan, say) for plan in plans))
    manifest_file.write(folder, _manifest(size, origin, stages))


class _Writer:
    """Writes graphs of one family and describes them for its manifest."""

    def __init__(self, folder: Path, family: str, origin: Origin, half: bool) -> None:
        self._folder, self._half = folder, half
        self._labels = {"family": family, "checkpoint_sha256": origin.checkpoint, "tools": TOOLS}

    def write(self, stage: str, plan: GraphPlan, say: Say) -> GraphEntry:
        """Write a graph in all its forms and return its entry."""
        half = plan.half and self._half
        made = run_module(plan)
        path = self._folder / f"{plan.name}.onnx"
        model = self._write(stage, plan, plan.module, path)
        error = check_numbers(path, plan, made)
        entry = ModelEntry(path.name, sha256(path), "bf16" if half else "fp32")
        alternatives = {}
        if stage in ON_GPU:
            alternatives = dict.fromkeys(GPU_BACKENDS, self._for_gpu(stage, plan, model, half, made) or entry)
        if plan.openvino is not None:
            path = self._folder / f"{plan.name}_openvino.onnx"
            self._write(stage, plan, plan.openvino, path)
            alternatives["openvino"] = ModelEntry(path.name, sha256(path), entry.precision)
        say(f"{plan.name}: {', '.join(self._forms(plan, half))}; at most {error:.0e} of the range off torch")
        inputs, outputs = tensor_entries(plan.inputs, plan.batched), tensor_entries(made, plan.batched)
        return GraphEntry(entry.file, entry.sha256, entry.precision, inputs, outputs, alternatives)

    def _for_gpu(
        self, stage: str, plan: GraphPlan, model: onnx.ModelProto, half: bool, made: Mapping[str, Tensor]
    ) -> ModelEntry | None:
        """Write the GPU's graph, if it differs."""
        if plan.gpu is None and not half:
            return None
        path = self._folder / f"{plan.name}_{'fp16' if half else 'gpu'}.onnx"
        if plan.gpu is not None:
            model = self._write(stage, plan, plan.gpu, path)
            check_numbers(path, plan, made)
        if half:
            save(to_half(model), path, self._labels | {"stage": stage, "precision": "fp16"})
            check_numbers(path, plan, made, HALF_TOLERANCE)
        return ModelEntry(path.name, sha256(path), "fp16" if half else "fp32")

    def _write(self, stage: str, plan: GraphPlan, module: nn.Module, path: Path) -> onnx.ModelProto:
        model = trace(module, plan, path)
        save(model, path, self._labels | {"stage": stage, "precision": "fp32"})
        return model

    @staticmethod
    def _forms(plan: GraphPlan, half: bool) -> list[str]:
        return ["float32", *["float16"] * half, *["for OpenVINO"] * (plan.openvino is not None)]


def _stage(name: str, graphs: tuple[GraphEntry, ...]) -> StageEntry:
    if name == "expression":
        return StageEntry(EXPRESSION_LOOKAHEAD_MS, graphs)
    if name.startswith("motion"):
        return StageEntry(MOTION_LOOKAHEAD_MS, graphs, Context(CONTEXT, CONTEXT))
    if name == "pose":
        return StageEntry(0, graphs, process="pose-vae")  # computed a block ahead, from past sound
    return StageEntry(0, graphs)


def _manifest(size: int, origin: Origin, stages: dict[str, StageEntry]) -> ManifestFile:
    return ManifestFile(
        family=f"sadtalker-{size}",
        version=origin.checkpoint[:12],
        licence=LICENCE,
        built_by=f"export.sadtalker.family, {TOOLS}, from {origin.text}",
        fps=FPS,
        sample_rate=SAMPLE_RATE,
        size=size,
        coefficients=Coefficients(tuple(f"exp_{i}" for i in range(EXPRESSION)), POSE),
        stages=stages,
        files=(),
        default_avatar="",
        avatars=(),
    )


def weights_hash(networks: Networks) -> str:
    """Hash names and values of all weights (SHA-256), independent of the file format."""
    digest = hashlib.sha256()
    for network in sorted(BUILDERS):
        for key, value in sorted(getattr(networks, network).state_dict().items()):
            digest.update(f"{network}.{key}{list(value.shape)}".encode())
            digest.update(value.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()
