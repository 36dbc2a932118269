"""Find the fastest way of computing each graph on this machine, by measurement: CPU feature flags do not predict it.

A processor with bfloat16 may be slower in it than in float32, and the faster library depends on the graph. So every
graph that a frame passes through is timed in all possible ways. A way that fails, or whose results differ from those
of float32, is excluded.

Sound stages are small and run for every session, whether or not its face is drawn. They use one thread, as two that
wait for each other take more processor time, and their fastest library, whichever the other stages use.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from engines.chain import CompiledGraph, GraphRequest, Tensor, smallest_shape
from engines.errors import EngineError, first_line
from engines.manifest import FRAME_STAGES, SOUND_STAGES, GraphSpec, Manifest, StageSpec
from engines.runtime import BACKEND_VARIABLE, INT8, Backend, Way, backend_for, compile_way, cpu_backends

WARM_UPS, LEAST_ROUNDS, MOST_ROUNDS = 2, 3, 15
GRAPH_S = 0.8  # time limit for the rounds of one graph, all ways together
MOST_ERROR = 0.03  # root mean square, relative to an output's spread: 30 dB
MOST_ERROR_INT8 = 0.2  # its accuracy on pictures was checked at quantisation; the inputs here are not pictures
LEAST_GAIN, LEAST_GAIN_MS = 0.05, 0.25  # to replace the first way: share of its time, and milliseconds
LEAST_GAIN_HEARD_MS = 0.05  # the same for sound stages, where every session gains
MIXED_GAIN = 0.1  # share of all graphs' time, to use several libraries
THREAD_GAIN = 1.15  # a further thread must gain this factor, as it is missing elsewhere
SEED = 1


@dataclass(frozen=True)
class Trial:
    """Result of one way for a graph: `ms` of the fastest run, or the fault that excludes the way."""

    way: Way
    ms: float = 0.0
    fault: str | None = None


@dataclass(frozen=True)
class TunedGraph:
    """The trials of one graph, and the chosen way."""

    name: str
    trials: tuple[Trial, ...]
    chosen: Way


def can_tune() -> bool:
    """Return whether ways can be chosen: AVATAR_ENGINE does not name a backend."""
    return not os.environ.get(BACKEND_VARIABLE)


def measure(
    manifest: Manifest, threads: int, progress: Callable[[str], None], backends: Sequence[Backend] = ()
) -> list[TunedGraph]:
    """Measure every graph that a frame passes through on the CPU.

    progress: called with the name of each graph before its trials; backends: those to try, by default all of the CPU.

    Raises:
        EngineError: a graph does not run in any way.
    """
    backends = backends or cpu_backends()
    on_cpu = {backend.name for backend in cpu_backends()}
    names = [name for name in FRAME_STAGES if name in manifest.stages and manifest.stages[name].graphs]
    stages = [manifest.stages[name] for name in names]
    heard: list[TunedGraph] = []
    drawn: list[TunedGraph] = []
    for stage in stages:
        if backend_for(stage).name not in on_cpu:
            continue
        if stage.name in SOUND_STAGES:
            heard += _tune(stage, backends, 1, progress)
        else:
            drawn += _tune(stage, backends, threads, progress)
    return [*(replace(graph, chosen=choose(graph.trials, LEAST_GAIN_HEARD_MS)) for graph in heard), *settle(drawn)]


def settle(tuned: Sequence[TunedGraph]) -> list[TunedGraph]:
    """Use one library for all graphs, unless several save a tenth of the time: each takes about 40 MB of memory."""
    names = dict.fromkeys(trial.way.backend for graph in tuned for trial in graph.trials)
    alone = [found for name in names if (found := _all_by(name, tuned)) is not None]
    best = min(alone, key=_total, default=None)
    return list(tuned) if best is None or _total(best) * (1 - MIXED_GAIN) > _total(tuned) else best


def _all_by(backend: str, tuned: Sequence[TunedGraph]) -> list[TunedGraph] | None:
    """Return the graphs, each with the best way of one library; None if it cannot compute one of them."""
    found = []
    for graph in tuned:
        trials = [trial for trial in graph.trials if trial.way.backend == backend]
        if all(trial.fault for trial in trials):
            return None
        found.append(replace(graph, chosen=choose(trials)))
    return found


def _total(tuned: Sequence[TunedGraph]) -> float:
    """Return the cost of a picture."""
    return sum(_cost(trial) for graph in tuned for trial in graph.trials if trial.way == graph.chosen)


def _tune(
    stage: StageSpec, backends: Sequence[Backend], threads: int, progress: Callable[[str], None]
) -> Iterator[TunedGraph]:
    values = _inputs(stage)
    for graph in stage.graphs:
        progress(graph.path.name)
        taken = {name: values[name] for name in graph.inputs}
        tuned, made = _try_all(graph, taken, backends, threads)
        values |= made
        yield tuned


def _inputs(stage: StageSpec) -> dict[str, Tensor]:
    """Make small positive random inputs for a stage: values that are also valid as corners or places in a picture."""
    random = np.random.default_rng(SEED)
    return {
        name: (
            random.integers(0, 256, smallest_shape(spec), np.uint8)
            if spec.dtype == "uint8"
            else random.uniform(0, 0.5, smallest_shape(spec)).astype(np.float32)
        )
        for name, spec in stage.inputs.items()
    }


def _try_all(
    graph: GraphSpec, inputs: Mapping[str, Tensor], backends: Sequence[Backend], threads: int
) -> tuple[TunedGraph, dict[str, Tensor]]:
    """Try a graph in all ways; also return its outputs from the first way that works."""
    reference: dict[str, Tensor] | None = None
    running: dict[Way, GraphRequest] = {}
    compiled: list[CompiledGraph] = []  # must live as long as their requests
    faults: list[Trial] = []
    for way, backend in _ways(graph, backends, threads):
        try:
            compiled.append(compile_way(graph, way, backend))
            request = compiled[-1].request()
            for name, value in inputs.items():
                request.set(name, value)
            made = {name: np.array(value) for name, value in request.run().items()}
            reference = reference or made
            if (error := _error(made, reference)) > (MOST_ERROR_INT8 if way.precision == INT8 else MOST_ERROR):
                raise EngineError(f"inaccurate: {error:.0%} of its results' spread")
            running[way] = request
        except Exception as error:  # any error of a library
            faults.append(Trial(way, fault=first_line(error)))
    if reference is None:
        raise EngineError(f"{graph.path}: runs in no way: {faults[0].fault}")
    trials = [Trial(way, ms) for way, ms in _time(running).items()]
    return TunedGraph(graph.path.name, (*trials, *faults), choose(trials)), reference


def _ways(graph: GraphSpec, backends: Sequence[Backend], threads: int) -> Iterator[tuple[Way, Backend]]:
    """Yield the ways to try; float32 with all threads is first, as the reference for the others."""
    for count in dict.fromkeys((threads, 1)):
        for backend in backends:
            yield Way(backend.name, "fp32", count), backend
            if backend.precision(graph.for_backend(backend.name)) == "bf16":
                yield Way(backend.name, "bf16", count), backend
            if graph.quantised is not None:
                yield Way(backend.name, INT8, count), backend


def _error(made: Mapping[str, Tensor], reference: Mapping[str, Tensor]) -> float:
    """Return the largest error of any output, relative to its spread; infinite if a value is NaN."""
    worst = 0.0
    for name, expected in reference.items():
        apart = np.asarray(made[name], np.float64) - np.asarray(expected, np.float64)
        spread = max(float(np.std(expected)), 1e-3)
        worst = max(worst, float(np.nan_to_num(np.sqrt(np.mean(apart**2)) / spread, nan=np.inf)))
    return worst


def _time(running: Mapping[Way, GraphRequest]) -> dict[Way, float]:
    """Return the milliseconds of the fastest run per way; ways take turns, so that other load affects all alike."""
    times: dict[Way, list[float]] = {way: [] for way in running}
    for request in running.values():
        for _ in range(WARM_UPS):
            request.run()
    start = time.perf_counter()
    for count in range(MOST_ROUNDS):
        for way, request in running.items():
            begin = time.perf_counter()
            request.run()
            times[way].append(time.perf_counter() - begin)
        if count + 1 >= LEAST_ROUNDS and time.perf_counter() - start > GRAPH_S:
            break
    return {way: 1000 * min(taken) for way, taken in times.items()}


def choose(trials: Sequence[Trial], least_gain_ms: float = LEAST_GAIN_MS) -> Way:
    """Return the first way, which is float32, or the cheapest if it gains clearly more; further threads cost extra.

    Float32 is among the trials for every library and number of threads, so nothing slower than it is chosen. Excluded
    ways are not considered.
    """
    usable = [trial for trial in trials if trial.fault is None]
    first, best = usable[0], min(usable, key=_cost)
    gain = _cost(first) - _cost(best)
    return best.way if gain > max(LEAST_GAIN * _cost(first), least_gain_ms) else first.way


def _cost(trial: Trial) -> float:
    return trial.ms * float(THREAD_GAIN ** (trial.way.threads - 1))
