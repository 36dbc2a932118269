"""Which way of computing each graph is the fastest on this machine: tried, as what a processor announces is no measure.

A processor that has bfloat16 may take longer in it than in float32, and which library is faster depends on the graph.
So every graph that a frame passes through is timed in all ways there are. One that fails, or whose results are not
those of float32, drops out.

What sound passes through is small and runs for every session, drawn or not: one thread computes it, as two that wait
for each other take more of the processor, and its library is the quickest, whatever the others' is.
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
GRAPH_S = 0.8  # for the rounds of one graph, all ways together
MOST_ERROR = 0.03  # root mean square, of an output's spread: 30 dB
MOST_ERROR_INT8 = 0.2  # how near it comes on pictures was seen to when it was made; these numbers are none
LEAST_GAIN, LEAST_GAIN_MS = 0.05, 0.25  # share of the first way's time, and milliseconds
LEAST_GAIN_HEARD_MS = 0.05  # the same of what sound passes through: what it gains, each session does
MIXED_GAIN = 0.1  # share of all graphs' time
THREAD_GAIN = 1.15  # a further thread is worth this: it is missing elsewhere
SEED = 1


@dataclass(frozen=True)
class Trial:
    """How long a graph took in one way: `ms` the quickest run; or the fault for which the way drops out."""

    way: Way
    ms: float = 0.0
    fault: str | None = None


@dataclass(frozen=True)
class TunedGraph:
    """The trials of one graph, and the way that is chosen."""

    name: str
    trials: tuple[Trial, ...]
    chosen: Way


def can_tune() -> bool:
    """Whether there is a choice: no engine is asked for by the environment."""
    return not os.environ.get(BACKEND_VARIABLE)


def measure(
    manifest: Manifest, threads: int, progress: Callable[[str], None], backends: Sequence[Backend] = ()
) -> list[TunedGraph]:
    """Try every graph that a frame passes through on the CPU.

    progress: is told each graph before it is tried; backends: those to try, the CPU's if none are named.

    Raises:
        EngineError: a graph that runs in no way at all.
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
    """Let one library compute all graphs, unless several save a tenth of the time: each takes some 40 MB of memory."""
    names = dict.fromkeys(trial.way.backend for graph in tuned for trial in graph.trials)
    alone = [found for name in names if (found := _all_by(name, tuned)) is not None]
    best = min(alone, key=_total, default=None)
    return list(tuned) if best is None or _total(best) * (1 - MIXED_GAIN) > _total(tuned) else best


def _all_by(backend: str, tuned: Sequence[TunedGraph]) -> list[TunedGraph] | None:
    """The same graphs, each in the best way of one library; None where it cannot compute one of them."""
    found = []
    for graph in tuned:
        trials = [trial for trial in graph.trials if trial.way.backend == backend]
        if all(trial.fault for trial in trials):
            return None
        found.append(replace(graph, chosen=choose(trials)))
    return found


def _total(tuned: Sequence[TunedGraph]) -> float:
    """What a picture costs."""
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
    """Small positive numbers for all that a stage is given: also a corner, or a place in a picture, may be such."""
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
    """Try a graph in all ways; also return what it makes, by the first of them."""
    reference: dict[str, Tensor] | None = None
    running: dict[Way, GraphRequest] = {}
    compiled: list[CompiledGraph] = []  # kept as long as their requests
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
        except Exception as error:  # a library's own, of any kind
            faults.append(Trial(way, fault=first_line(error)))
    if reference is None:
        raise EngineError(f"{graph.path}: runs in no way: {faults[0].fault}")
    trials = [Trial(way, ms) for way, ms in _time(running).items()]
    return TunedGraph(graph.path.name, (*trials, *faults), choose(trials)), reference


def _ways(graph: GraphSpec, backends: Sequence[Backend], threads: int) -> Iterator[tuple[Way, Backend]]:
    """float32 with all threads comes first: by it the others are judged."""
    for count in dict.fromkeys((threads, 1)):
        for backend in backends:
            yield Way(backend.name, "fp32", count), backend
            if backend.precision(graph.for_backend(backend.name)) == "bf16":
                yield Way(backend.name, "bf16", count), backend
            if graph.quantised is not None:
                yield Way(backend.name, INT8, count), backend


def _error(made: Mapping[str, Tensor], reference: Mapping[str, Tensor]) -> float:
    """The largest error of any output, as a share of its spread; infinite where something is no number."""
    worst = 0.0
    for name, expected in reference.items():
        apart = np.asarray(made[name], np.float64) - np.asarray(expected, np.float64)
        spread = max(float(np.std(expected)), 1e-3)
        worst = max(worst, float(np.nan_to_num(np.sqrt(np.mean(apart**2)) / spread, nan=np.inf)))
    return worst


def _time(running: Mapping[Way, GraphRequest]) -> dict[Way, float]:
    """Milliseconds of the quickest run, the ways by turns: what else the machine does then counts least."""
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
    """The first way, which is float32, or the fastest where that gains more than chance; further threads count extra.

    Float32 is among the trials of every number of threads and library, so nothing slower than it is chosen. A way
    that dropped out has no time, and is none of those to choose from.
    """
    usable = [trial for trial in trials if trial.fault is None]
    first, best = usable[0], min(usable, key=_cost)
    gain = _cost(first) - _cost(best)
    return best.way if gain > max(LEAST_GAIN * _cost(first), least_gain_ms) else first.way


def _cost(trial: Trial) -> float:
    return trial.ms * float(THREAD_GAIN ** (trial.way.threads - 1))
