"""The official networks against numbers: the reference's own where they are small, else kept ones of narrow copies."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import DATA

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'avatar-streamer[export]'")
for module in ("scipy", "safetensors"):
    pytest.importorskip(module, reason=f"{module} is not installed; pip install 'avatar-streamer[export]'")

from export.parity import __main__ as parity  # noqa: E402
from export.parity.clip import context_windows, pose_track, smoothed  # noqa: E402
from export.parity.compare import compare  # noqa: E402
from export.parity.stages import TorchStages  # noqa: E402
from tests.families import narrow_golden  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of golden files for the narrow networks; for reading."""
    folder = tmp_path_factory.mktemp("golden")
    narrow_golden.write(folder)
    return folder


@pytest.mark.slow
def test_the_reference_implementations_numbers_come_out_at_full_width() -> None:
    """These files were computed with the reference implementation (see sources.json beside them)."""
    report = parity.check_folder(DATA / "parity", TorchStages(parity.Weights().network))
    assert [f"{row.file}/{row.output}" for row in report.comparisons if not row.passed] == []
    assert {row.file for row in report.comparisons} == {"expnet", "mapping70", "mapping73", "posevae_class45"}
    assert not report.skipped


@pytest.mark.slow
def test_narrow_networks_give_the_numbers_they_gave(narrow: Path) -> None:
    found = narrow_golden.kept(narrow)
    with np.load(narrow_golden.KEPT) as wanted:
        assert set(wanted) == set(found)
        for name in wanted:
            assert compare(name, "", found[name], wanted[name]).passed, name


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["parity", *map(str, arguments)])
    return parity.main()


def edit(path: Path, name: str, change: Any) -> None:
    with np.load(path) as file:
        arrays = dict(file)
    arrays[name] = change(arrays[name])
    np.savez(path, allow_pickle=False, **arrays)


def copy(narrow: Path, folder: Path, *names: str) -> Path:
    for name in names:
        (folder / f"{name}.npz").write_bytes((narrow / f"{name}.npz").read_bytes())
    return folder


@pytest.mark.slow
def test_the_command_agrees_and_tells_what_does_not(
    narrow: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy(narrow, tmp_path, "expnet", "mapping70")
    width = ("--width", narrow_golden.WIDTH)
    assert run(monkeypatch, folder, *width) == 0
    assert "all within tolerance" in capsys.readouterr().out

    edit(folder / "mapping70.npz", "yaw", lambda yaw: yaw + 2e-4 * np.ptp(yaw))
    assert run(monkeypatch, folder, *width, "--json") == 1
    data = json.loads(capsys.readouterr().out)
    failed = [(row["file"], row["output"]) for row in data["results"] if not row["passed"]]
    assert failed == [("mapping70", "yaw")]

    assert run(monkeypatch, copy(narrow, folder, "mapping70"), *width, "--salt", 1) == 1


def test_what_cannot_be_compared_is_one_line(
    narrow: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    width = ("--width", narrow_golden.WIDTH)
    assert run(monkeypatch, tmp_path, *width) == 2
    assert capsys.readouterr().err.endswith("no golden file (.npz) there\n")
    folder = copy(narrow, tmp_path, "generator_near")
    assert run(monkeypatch, folder, *width) == 2
    assert "its inputs are in keypoints.npz, which is not there" in capsys.readouterr().err
    path = folder / "generator_near.npz"
    path.write_bytes(path.read_bytes()[:200])
    assert run(monkeypatch, folder, *width) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_state_dicts_are_compared_key_for_key(tmp_path: Path) -> None:
    about = {"first.0.weight": [1024, 70, 7], "first.0.bias": [1024]}
    path = tmp_path / "state_dicts.json"
    entries = {key: {"shape": shape, "dtype": "float32"} for key, shape in about.items()}
    path.write_text(json.dumps({"mapping70": entries}))
    (row,) = parity.check_state_dicts(path)
    assert not row.passed
    assert row.max_abs == 16  # the other tensors of mappingNet


def test_comparison_is_relative_to_the_spread_and_fails_on_nan() -> None:
    wanted = np.array([100.0, 102.0], np.float32)
    assert compare("f", "o", wanted + np.float32(1e-4), wanted).passed
    assert not compare("f", "o", wanted + np.float32(1e-3), wanted).passed
    assert compare("f", "o", wanted + np.float32(1e-3), wanted.astype(np.float16)).passed
    assert not compare("f", "o", np.array([100, np.nan], np.float32), wanted).passed
    assert not compare("f", "o", wanted[:1], wanted).passed
    picture = np.linspace(0, 1, 2000, dtype=np.float32)
    spoilt = picture.copy()
    spoilt[7] = 1
    assert not compare("f", "o", spoilt, picture).passed
    grey = np.full((1, 2, 2), 128, np.uint8)
    assert compare("f", "o", grey, np.array([[[0.5, 0.501], [0.502, 0.503]]], np.float32)).passed


class Counting:
    """Gives the number of each pose block, and the windows' first values."""

    def __init__(self) -> None:
        self.heard: list[list[float]] = []

    def run(self, stage: str, inputs: Any) -> dict[str, Any]:
        assert stage == "pose"
        self.heard.append(inputs["mel"][:, 0, 0, 0].tolist())
        return {"residual": np.full((32, 6), len(self.heard), np.float32)}


@pytest.mark.parametrize(("frames", "blocks"), [(1, []), (5, [4]), (33, [32]), (70, [32, 32, 5])])
def test_pose_comes_in_blocks_of_32_and_an_overlapping_tail(frames: int, blocks: list[int]) -> None:
    windows = np.broadcast_to(np.arange(frames, dtype=np.float32)[:, None, None, None], (frames, 1, 80, 16))
    stages = Counting()
    latents = np.zeros((len(blocks), 1, 64), np.float32)
    track = pose_track(windows, np.zeros((1, 6), np.float32), latents, 3, stages)
    assert track[:, 0].tolist() == [0, *(number + 1 for number, new in enumerate(blocks) for _ in range(new))]
    if frames == 5:
        assert stages.heard == [[1.0] * 28 + [1, 2, 3, 4]]
    if frames == 70:
        assert stages.heard[2] == list(range(38, 70))


def test_smoothing_keeps_parabolas_and_context_is_clamped() -> None:
    time = np.arange(40, dtype=np.float32)[:, None]
    np.testing.assert_allclose(smoothed(0.1 * time**2 - time), 0.1 * time**2 - time, atol=1e-4)
    windows = context_windows(time)
    assert windows.shape == (40, 1, 27)
    assert windows[0, 0, :15].tolist() == [0] * 14 + [1]
    assert windows[39, 0, 12:].tolist() == [38] + [39] * 14
