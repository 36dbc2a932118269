"""What a machine computes its graphs with: tried out, remembered, and never what is wrong."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines import tuning_file
from engines.chain import CompiledGraph, DeviceTensor, GraphRequest, Tensor, smallest_shape
from engines.errors import EngineError
from engines.manifest import GraphFile, GraphSpec, Manifest
from engines.runtime import Backend, Engines, Way, cpu_backends
from engines.tuning import Trial, TunedGraph, choose, measure, settle
from streamer.avatar import tuned_engines
from streamer.cli.main import main
from streamer.core.system.bystanders import Bystanders
from tests.families import tiny_family


class _Spoilt:
    """A request whose results are a little wrong."""

    def __init__(self, request: GraphRequest) -> None:
        self._request = request

    def set(self, name: str, value: Tensor | DeviceTensor) -> None:
        self._request.set(name, value)

    def run(self) -> Mapping[str, Tensor]:
        return {name: np.array(value) + np.float32(1) for name, value in self._request.run().items()}


class _SpoiltGraph:
    def __init__(self, graph: CompiledGraph) -> None:
        self._graph = graph

    def request(self) -> GraphRequest:
        return _Spoilt(self._graph.request())


def _refuses(graph: GraphSpec, threads: int) -> CompiledGraph:
    raise EngineError("this processor lacks something")


def trial(way: str, ms: float) -> Trial:
    backend, precision, threads = way.split()
    return Trial(Way(backend, precision, int(threads)), ms)


@pytest.mark.parametrize(
    ("times", "chosen"),
    [
        ({"ov fp32 2": 10, "ov bf16 2": 16, "ort fp32 2": 12}, "ov fp32 x2"),
        ({"ov fp32 2": 10, "ov bf16 2": 6, "ov fp32 1": 19, "ov bf16 1": 11}, "ov bf16 x2"),
        ({"ov fp32 2": 10, "ov fp32 1": 10.5}, "ov fp32 x1"),  # a second thread gains too little
        ({"ov fp32 2": 10, "ort fp32 2": 9.8}, "ov fp32 x2"),  # chance
        ({"ov fp32 2": 0.5, "ort fp32 2": 0.3}, "ov fp32 x2"),  # not worth a second library
    ],
)
def test_the_fastest_is_chosen_and_float32_where_nothing_is_much_faster(times: dict[str, float], chosen: str) -> None:
    assert str(choose([trial(way, ms) for way, ms in times.items()])) == chosen


def test_a_small_gain_counts_where_it_is_had_in_every_session() -> None:
    trials = [trial("ov fp32 1", 1.0), trial("ort fp32 1", 0.8)]
    assert [str(choose(trials)), str(choose(trials, 0.05))] == ["ov fp32 x1", "ort fp32 x1"]


def test_what_dropped_out_is_not_chosen_for_taking_no_time() -> None:
    fault = replace(trial("lacking fp32 1", 0.0), fault="this processor lacks something")
    for least_gain_ms in (0.0, 0.05):
        assert str(choose([trial("ov fp32 1", 1.0), fault], least_gain_ms)) == "ov fp32 x1"
        assert str(choose([fault, trial("ov fp32 1", 1.0)], least_gain_ms)) == "ov fp32 x1"


@pytest.mark.parametrize(
    ("graphs", "chosen"),
    [
        ([{"ov fp32 1": 10, "ort fp32 1": 11}, {"ov fp32 1": 1, "ort fp32 1": 0.2}], ["ov", "ov"]),
        ([{"ov fp32 1": 10, "ort fp32 1": 10.2}, {"ov fp32 1": 2, "ort fp32 1": 0.2}], ["ort", "ort"]),
        ([{"ov fp32 1": 10, "ort fp32 1": 15}, {"ov fp32 1": 9, "ort fp32 1": 2}], ["ov", "ort"]),  # a third saved
        ([{"ov fp32 1": 10}, {"ov fp32 1": 2, "ort fp32 1": 0.2}], ["ov", "ort"]),  # it saves 15 %
        ([{"ov fp32 1": 10}, {"ort fp32 1": 0.2}], ["ov", "ort"]),  # neither can do both
    ],
)
def test_a_second_library_has_to_be_worth_its_memory(graphs: list[dict[str, float]], chosen: list[str]) -> None:
    tried = [tuple(trial(way, ms) for way, ms in times.items()) for times in graphs]
    tuned = settle([TunedGraph(f"{number}.onnx", trials, choose(trials)) for number, trials in enumerate(tried)])
    assert [graph.chosen.backend for graph in tuned] == chosen


def test_every_graph_of_a_frame_is_tried_in_all_ways(tiny_folder: Path) -> None:
    told: list[str] = []
    tuned = measure(Manifest.load(tiny_folder), 2, told.append)
    assert told == [graph.name for graph in tuned]
    assert {graph.name for graph in tuned} >= {"expression.onnx", "motion.onnx"}
    for graph in tuned:
        ways = {trial.way for trial in graph.trials if trial.fault is None}
        counts = (1,) if graph.name == "expression.onnx" else (1, 2)  # what sound passes through gets one thread
        assert {Way(backend.name, "fp32", count) for backend in cpu_backends() for count in counts} <= ways
        assert {way.threads for way in ways} == set(counts)
        assert graph.chosen in ways


def test_what_fails_or_is_wrong_drops_out_with_the_reason(tiny_folder: Path) -> None:
    good = cpu_backends()[0]
    wrong = replace(good, name="wrong", compile=lambda graph, threads: _SpoiltGraph(good.compile(graph, threads)))
    lacking = Backend("lacking", "", _refuses, lambda _: "fp32")
    for graph in measure(Manifest.load(tiny_folder), 1, lambda _: None, [lacking, good, wrong]):
        faults = {trial.way.backend: trial.fault for trial in graph.trials}
        assert faults[good.name] is None
        assert "inaccurate" in str(faults["wrong"])
        assert faults["lacking"] == "this processor lacks something"
        assert graph.chosen.backend == good.name


def test_a_form_in_integers_is_tried_and_drops_out_where_it_computes_something_else(tiny_folder: Path) -> None:
    manifest = Manifest.load(tiny_folder)
    motion, expression = (manifest.stages[name].graphs[0] for name in ("motion", "expression"))
    same, other = (GraphFile(graph.path, "int8") for graph in (motion, expression))
    for quantised, fault in ((same, None), (other, "inputs are")):
        spec = replace(manifest.stages["motion"], graphs=(replace(motion, quantised=quantised),))
        (tuned,) = measure(replace(manifest, stages={"motion": spec}), 1, lambda _: None)
        trials = [trial for trial in tuned.trials if trial.way.precision == "int8"]
        assert {trial.way.backend for trial in trials} == {backend.name for backend in cpu_backends()}
        for trial in trials:
            assert (trial.fault is None) if fault is None else (fault in str(trial.fault))


def test_a_graph_without_a_form_in_integers_is_refused_in_them(tiny_folder: Path) -> None:
    ways = {"motion.onnx": Way(cpu_backends()[0].name, "int8", 1)}
    with pytest.raises(EngineError, match="there is no int8 form of it"):
        Engines.open(Manifest.load(tiny_folder), threads=1, ways=ways)


def test_a_graph_that_runs_in_no_way_is_an_error(tiny_folder: Path) -> None:
    with pytest.raises(EngineError, match="runs in no way: this processor lacks something"):
        measure(Manifest.load(tiny_folder), 1, lambda _: None, [Backend("lacking", "", _refuses, lambda _: "fp32")])


def test_a_measurement_is_kept_for_its_family_and_number_of_threads(tiny_folder: Path, tmp_path: Path) -> None:
    manifest, path = Manifest.load(tiny_folder), tmp_path / "deep" / "tuning.json"
    tuned = measure(manifest, 2, lambda _: None)
    key = tuning_file.key_of(manifest, 2)
    tuning_file.write(path, key, manifest, tuned)
    assert tuning_file.read(path, key) == {graph.name: graph.chosen for graph in tuned}
    assert tuning_file.read(path, tuning_file.key_of(manifest, 1)) is None
    other = tiny_family.build(tmp_path / "other")
    about = (other / "manifest.json").read_text()
    (other / "manifest.json").write_text(about.replace('"version": "', '"version": "another '))
    assert tuning_file.read(path, tuning_file.key_of(Manifest.load(other), 2)) is None
    for number in range(2 * tuning_file.MOST_ENTRIES):
        tuning_file.write(path, f"key {number}", manifest, tuned)
    assert tuning_file.read(path, key) is None
    assert tuning_file.read(path, f"key {2 * tuning_file.MOST_ENTRIES - 1}") is not None


def test_what_was_measured_beside_busy_programs_is_measured_again_a_few_times(
    tiny_folder: Path, tmp_path: Path
) -> None:
    manifest, path = Manifest.load(tiny_folder), tmp_path / "tuning.json"
    tuned = measure(manifest, 1, lambda _: None)
    chosen = {graph.name: graph.chosen for graph in tuned}
    for _ in range(tuning_file.MOST_DISTURBED - 1):
        tuning_file.write(path, "key", manifest, tuned, disturbed=True)
        assert tuning_file.read(path, "key") is None
    tuning_file.write(path, "key", manifest, tuned, disturbed=True)
    assert tuning_file.read(path, "key") == chosen  # it is never quiet here
    tuning_file.write(path, "key", manifest, tuned)
    tuning_file.write(path, "key", manifest, tuned, disturbed=True)
    assert tuning_file.read(path, "key") is None
    tuning_file.write(path, "key", manifest, tuned)
    assert tuning_file.read(path, "key") == chosen


@pytest.mark.parametrize(("taken", "again"), [(0.2, False), (64.0, True)])
def test_a_machine_is_measured_again_where_the_processors_were_taken(
    tiny_folder: Path, taken: float, again: bool, caplog: pytest.LogCaptureFixture
) -> None:
    manifest = Manifest.load(tiny_folder)
    tuned_engines.tune(manifest, os.cpu_count() or 1, others=lambda: Bystanders(lambda: taken))
    known = tuning_file.read(tuned_engines.tuning_path(), tuning_file.key_of(manifest, os.cpu_count() or 1))
    assert (known is None) == again
    assert ("other programs held 6" in caplog.text) == again


@pytest.mark.parametrize("content", ["", "{", '{"format": 99}', '{"format": 1, "entries": [{"key": 1}]}'])
def test_a_damaged_file_is_measured_anew(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tuning.json"
    path.write_text(content)
    assert tuning_file.read(path, "any") is None


@pytest.mark.slow
def test_the_first_start_measures_and_the_next_does_not(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(tuned_engines.TUNING_VARIABLE)
    manifest, told = Manifest.load(tiny_folder), list[str]()
    results = []
    for start in range(2):
        if start:  # as it is kept on a quiet machine
            tuned_engines.tune(manifest, 1, others=lambda: Bystanders(lambda: 0.0))
        with tuned_engines.open_engines(manifest, 1, tell=told.append) as engines:
            mel = np.zeros(smallest_shape(manifest.stage("expression").inputs["mel"]), np.float32)
            results.append(engines["expression"].infer({"mel": mel})["expression"])
    assert len(told) == 1
    assert "measuring" in told[0]
    with Engines.open(manifest, threads=1) as plain:
        for result in results:
            np.testing.assert_allclose(result, plain["expression"].infer({"mel": mel})["expression"], atol=1e-4)


def test_the_command_prints_its_trials(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(tuned_engines.TUNING_VARIABLE)
    assert main(["engines", "--tune", "--engines", str(tiny_folder), "--threads", "1"]) == 0
    told = capsys.readouterr().out
    assert " *" in next(line for line in told.splitlines() if line.strip().startswith("expression.onnx"))
    assert "all stages run" in told
    monkeypatch.setenv("AVATAR_ENGINE", "onnxruntime")
    assert main(["engines", "--tune", "--engines", str(tiny_folder)]) == 2
    assert "AVATAR_ENGINE names the engine already" in capsys.readouterr().err
