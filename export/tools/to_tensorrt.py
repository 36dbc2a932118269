"""Build TensorRT engines from ONNX, checking for known builder faults.

    python -m export.tools.to_tensorrt FAMILY [--builder tensorrt|tensorrt_rtx]

Engines are strongly typed: a value has the type declared in the ONNX file, and half precision needs a float16 file
(`export.tools.half`), since builders no longer have a switch for it. Two silent builder faults are errors here:

- parsers have turned the "linear" of opset 20's GridSample into NEAREST (TensorRT-RTX 1.5, NVIDIA/TensorRT #4646);
- "fp16" builds have come out as float32 (roboflow/rf-detr #1453).

`tensorrt_rtx` has the same interface, is on PyPI and builds without a GPU, so any machine can prove that every graph
parses, is typed consistently and builds. `engines.backends.tensorrt_gpu` cannot run its engines.
"""

from __future__ import annotations

import argparse
import importlib
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import onnx

from engines.backends import tensorrt_gpu as runtime
from engines.backends.gpu import find_gpu
from engines.backends.tensorrt_plan import FOLDER, PlanKey, write_plan
from engines.errors import EngineError
from engines.files import write_bytes
from engines.manifest import Manifest
from export.tools import command

BUILDERS = ("tensorrt", "tensorrt_rtx")
BATCH = (1, 4, 32)  # minimum, usual and maximum size of a free dimension
TIMINGS = "timings.cache"
WORKSPACE = 4 << 30  # bytes a layer may use for scratch while tactics are tried
# An engine holds its weights in the types of the file, and little else of size.
LEAST_SHARE, MOST_SHARE = 0.5, 1.6
SMALL = 4 << 20  # bytes of weights; below that, an engine's size does not reveal their type

Say = Callable[[str], None]


@dataclass(frozen=True)
class Build:
    """A built engine. layers: count of compute layers by output type."""

    path: Path
    seconds: float
    size: int
    samplers: int
    layers: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        types = ", ".join(f"{count} {name}" for name, count in self.layers.items()) or "none"
        sampling = f"; {self.samplers} GridSample, linear" if self.samplers else ""
        return (
            f"{self.path.name}: {self.seconds:.1f} s, {self.size / 1e6:.1f} MB; layers that compute: {types}{sampling}"
        )


def load_builder(name: str) -> ModuleType:
    """Import the builder library. `tensorrt` needs a GPU, and is not imported without one.

    Raises:
        EngineError: the library is missing or unusable on this machine.
    """
    if name == "tensorrt":
        return runtime.library()
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise EngineError(f"{name} cannot be loaded ({error}); pip install tensorrt_rtx") from None


def build_engine(path: Path, builder: str = "tensorrt", *, say: Say = lambda _: None) -> Build:
    """Build the engine of an ONNX file beside it, for this machine's GPU (tensorrt_rtx: for any).

    Raises:
        EngineError: the library is missing, rejects the graph, or builds something else from it.
    """
    trt = load_builder(builder)
    with runtime.no_collection():
        return _build(trt, path, builder, say)


def _build(trt: ModuleType, path: Path, builder: str, say: Say) -> Build:
    gpu = find_gpu() if builder == "tensorrt" else None
    log = runtime.error_log(trt)
    maker = trt.Builder(log)
    # From version 11 on, typing is always strong and the flag has no effect.
    network = maker.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    _parse(trt, network, path, log)
    model = onnx.load(path)
    samplers = check_samplers(trt, network, model, path)
    layers = check_types(trt, network, model, path)
    config = _configure(trt, maker, network, path, say)
    timings = _timings(config, path) if builder == "tensorrt" else None  # tensorrt_rtx measures no timings
    start = time.monotonic()
    plan = maker.build_serialized_network(network, config)
    if plan is None:
        raise EngineError(f"{path}: {builder} cannot build it: {log.last}")
    seconds = time.monotonic() - start
    content = bytes(plan)
    check_size(model, path, len(content))
    if timings is not None:
        _keep_timings(timings, path)
    notes = {"seconds": round(seconds, 1), "layers": layers, "samplers": samplers}
    made = write_plan(PlanKey.of(path, builder, trt.__version__, gpu), path, content, notes)
    return Build(made, seconds, len(content), samplers, layers)


def build_engines(
    manifest: Manifest, builder: str = "tensorrt", *, say: Say = lambda _: None, done: Callable[[Build], None]
) -> None:
    """Build the engine of every graph of a family; `done` is called after each.

    Raises:
        EngineError: as for `build_engine`, or the disk space is too small.
    """
    graphs = [graph.path_for("tensorrt") for stage in manifest.stages.values() for graph in stage.graphs]
    needed = int(MOST_SHARE * sum(path.stat().st_size for path in graphs))
    free = shutil.disk_usage(manifest.folder).free
    if free < needed:
        raise EngineError(f"{manifest.folder}: {needed / 1e6:.0f} MB needed for engines, {free / 1e6:.0f} MB free")
    for path in graphs:
        done(build_engine(path, builder, say=say))


def _parse(trt: ModuleType, network: Any, path: Path, log: Any) -> None:
    parser = trt.OnnxParser(network, log)
    if parser.parse_from_file(str(path)):
        return
    reasons = [parser.get_error(i).desc().strip().splitlines()[0] for i in range(parser.num_errors)]
    raise EngineError(f"{path}: cannot be parsed: {reasons[0] if reasons else log.last}")


def check_samplers(trt: ModuleType, network: Any, model: onnx.ModelProto, path: Path) -> int:
    """Check that every GridSample interpolates, and return their count.

    Raises:
        EngineError: a GridSample takes the nearest value instead, or the parser has dropped one.
    """
    samplers = [layer for layer in _layers(network) if layer.type == trt.LayerType.GRID_SAMPLE]
    for layer in samplers:
        layer.__class__ = trt.IGridSampleLayer
        if layer.interpolation_mode != trt.InterpolationMode.LINEAR:
            raise EngineError(
                f"{path}: {trt.__name__} {trt.__version__} parsed {layer.name} as "
                f"{layer.interpolation_mode.name}, not LINEAR; its pictures would be wrong, use another version"
            )
    wanted = sum(node.op_type == "GridSample" for node in model.graph.node)
    if len(samplers) != wanted:
        raise EngineError(f"{path}: {len(samplers)} of {wanted} GridSample nodes are left after parsing")
    return len(samplers)


def check_types(trt: ModuleType, network: Any, model: onnx.ModelProto, path: Path) -> dict[str, int]:
    """Check that compute layers use the type of the file's weights; return the count of layers by type.

    Raises:
        EngineError: a convolution or matrix product has another type.
    """
    kinds = (trt.LayerType.CONVOLUTION, trt.LayerType.DECONVOLUTION, trt.LayerType.MATRIX_MULTIPLY)
    half = any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in model.graph.initializer)
    expected = trt.float16 if half else trt.float32
    heavy = [layer for layer in _layers(network) if layer.type in kinds]
    wrong = [layer for layer in heavy if layer.get_output(0).dtype != expected]
    if wrong:
        found = wrong[0].get_output(0).dtype
        raise EngineError(f"{path}: {wrong[0].name} and {len(wrong) - 1} more are {found}, expected {expected}")
    return dict(Counter(layer.get_output(0).dtype.name.lower() for layer in heavy))


def check_size(model: onnx.ModelProto, path: Path, size: int) -> None:
    """Check that an engine is about as large as the weights of its file.

    Raises:
        EngineError: the size differs, so weights were stored in another type, or twice.
    """
    weights = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    if weights >= SMALL and not LEAST_SHARE <= size / weights <= MOST_SHARE:
        raise EngineError(
            f"{path}: the engine has {size / 1e6:.0f} MB for {weights / 1e6:.0f} MB of weights; "
            "they were stored in another type"
        )


def _layers(network: Any) -> list[Any]:
    return [network.get_layer(i) for i in range(network.num_layers)]


def _configure(trt: ModuleType, maker: Any, network: Any, path: Path, say: Say) -> Any:
    config = maker.create_builder_config()
    # TF32 has float16's precision, but the file's float32 values are coordinates that need full precision.
    config.clear_flag(trt.BuilderFlag.TF32)
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE)
    config.progress_monitor = _monitor(trt, path.stem, say)
    free = [tensor for tensor in map(network.get_input, range(network.num_inputs)) if -1 in tuple(tensor.shape)]
    if free:
        profile = maker.create_optimization_profile()
        for tensor in free:
            shapes = [tuple(size if side < 0 else side for side in tensor.shape) for size in BATCH]
            profile.set_shape(tensor.name, *shapes)
        config.add_optimization_profile(profile)
    return config


def _timings(config: Any, path: Path) -> Any:
    """Load the timing cache, so that layers timed for another graph are not timed again.

    Returns the cache, which must outlive the build.
    """
    file = path.parent / FOLDER / TIMINGS
    cache = config.create_timing_cache(file.read_bytes() if file.is_file() else b"")
    if not config.set_timing_cache(cache, ignore_mismatch=False):  # measured on another GPU
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, ignore_mismatch=False)
    return cache


def _keep_timings(cache: Any, path: Path) -> None:
    target = path.parent / FOLDER / TIMINGS
    target.parent.mkdir(exist_ok=True)
    write_bytes(target, bytes(cache.serialize()))


def _monitor(trt: ModuleType, title: str, say: Say) -> Any:
    """Report the builder's outermost phases: at the start of each, then at every tenth."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            if not parent:
                self.steps[phase] = steps
                say(f"{title}: {phase}")

        def step_complete(self, phase: str, step: int) -> bool:
            total = self.steps.get(phase, 0)
            if total >= 10 and step and step % (total // 10) == 0:
                say(f"{title}: {phase} {100 * step // total} %")
            return True

        def phase_finish(self, phase: str) -> None:
            self.steps.pop(phase, None)

    return Monitor()


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("family", type=Path, help="folder of a built family")
    parser.add_argument("--builder", choices=BUILDERS, default=BUILDERS[0], help="tensorrt_rtx needs no GPU")
    args = parser.parse_args()

    def job() -> None:
        build_engines(Manifest.load(args.family), args.builder, say=print, done=print)

    return command.run(job)


if __name__ == "__main__":
    sys.exit(main())
