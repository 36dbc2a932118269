"""The official checkpoint files, as stand-ins: what loads, and what is refused in one clear line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; pip install 'avatar-streamer[export]'")
safe = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")

from export import stand_in  # noqa: E402
from export.sadtalker.checkpoints import load_checkpoints  # noqa: E402
from export.sadtalker.networks.loading import CheckpointError  # noqa: E402

WIDTH = 1 / 16
COMBINED, MAPPING = "SadTalker_V0.0.2_256.safetensors", "mapping_00229-model.pth.tar"


@pytest.fixture(scope="session")
def current(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The current release's files; for reading."""
    folder = tmp_path_factory.mktemp("current")
    stand_in.write_stand_ins(folder, width=WIDTH, report=lambda _: None)
    return folder


@pytest.fixture(scope="session")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An earlier release's files; for reading."""
    folder = tmp_path_factory.mktemp("older")
    stand_in.write_stand_ins(folder, width=WIDTH, older=True, report=lambda _: None)
    return folder


@pytest.fixture
def mine(current: Path, tmp_path: Path) -> Path:
    """A copy of the current files for damaging."""
    return Path(shutil.copytree(current, tmp_path / "mine"))


def load(folder: Path, size: int = 256) -> Any:
    return load_checkpoints(folder, size, WIDTH, report=lambda _: None)


@pytest.mark.slow
def test_both_releases_and_both_sizes_give_the_same_networks(current: Path, older: Path) -> None:
    loaded = [load(current, 256), load(current, 512), load(older)]
    for name in vars(loaded[0].networks):
        states = [getattr(checkpoints.networks, name).state_dict() for checkpoints in loaded]
        for key, tensor in states[0].items():
            assert torch.equal(tensor, states[1][key])
            assert torch.equal(tensor, states[2][key])
    assert loaded[1].files["generator"].name == "SadTalker_V0.0.2_512.safetensors"
    assert loaded[2].files["generator"].name == "facevid2vid_00189-model.pth.tar"


@pytest.mark.slow
def test_the_pose_networks_encoder_may_come_from_wav2lip(older: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(older, tmp_path / "older"))
    path = folder / "auido2pose_00140-model.pth"
    content = torch.load(path, weights_only=True)
    content["model"] = {key: value for key, value in content["model"].items() if not key.startswith("audio_encoder")}
    torch.save(content, path)
    encoder = load(folder).networks.audio2pose.audio_encoder.state_dict()
    expected = load(older).networks.audio2pose.audio_encoder.state_dict()
    assert all(torch.equal(encoder[key], value) for key, value in expected.items())
    (folder / "wav2lip.pth").unlink()
    with pytest.raises(CheckpointError, match="missing: audio_encoder"):
        load(folder)


@pytest.mark.slow
def test_loaded_networks_are_ready_to_run(current: Path) -> None:
    networks = load(current).networks
    for network in vars(networks).values():
        assert not network.training
        assert not any(parameter.requires_grad for parameter in network.parameters())


class Evil:
    """Would run code when unpickled."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return exec, ("open('ran', 'w')",)


def damage_safetensors(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    tensors = safe.load_file(folder / COMBINED)
    change(tensors)
    safe.save_file(tensors, folder / COMBINED)


def test_code_in_a_pickle_is_not_run(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(mine)
    torch.save({"mapping": Evil()}, mine / MAPPING)
    with pytest.raises(CheckpointError, match=rf"{MAPPING}: holds code, not only tensors: not opened") as caught:
        load(mine)
    assert "\n" not in str(caught.value)
    assert not (mine / "ran").exists()


@pytest.mark.parametrize("file", [COMBINED, MAPPING])
@pytest.mark.parametrize("kind", ["truncated", "empty", "text"])
def test_damaged_files_are_reported(mine: Path, file: str, kind: str) -> None:
    path = mine / file
    whole = path.read_bytes()
    path.write_bytes({"truncated": whole[: len(whole) // 2], "empty": b"", "text": b"<html>Not found</html>" * 9}[kind])
    with pytest.raises(CheckpointError, match=rf"{file}: damaged or not a .* `make fetch-checkpoints`") as caught:
        load(mine)
    assert "\n" not in str(caught.value)


def test_a_missing_tensor_is_named(mine: Path) -> None:
    damage_safetensors(mine, lambda tensors: tensors.pop("generator.first.conv.weight"))
    with pytest.raises(CheckpointError, match=r"not the generator of SadTalker; missing: first\.conv\.weight"):
        load(mine)


def test_a_misshapen_tensor_is_named_with_both_shapes(mine: Path) -> None:
    damage_safetensors(mine, lambda tensors: tensors.update({"audio2exp.mapping1.bias": torch.zeros(63)}))
    with pytest.raises(CheckpointError, match=r"misshapen: mapping1\.bias \[63\] instead of \[64\]"):
        load(mine)


def test_values_that_are_no_numbers_are_refused(mine: Path) -> None:
    damage_safetensors(mine, lambda tensors: tensors["kp_extractor.kp.bias"].fill_(float("nan")))
    with pytest.raises(CheckpointError, match=r"not finite: kp\.bias"):
        load(mine)


def test_the_other_mapping_network_does_not_pass_for_this_one(mine: Path) -> None:
    shutil.copy(mine / "mapping_00109-model.pth.tar", mine / MAPPING)
    with pytest.raises(CheckpointError, match=r"not the mapping70 of SadTalker; misshapen: first\.0\.weight"):
        load(mine)


def test_another_models_checkpoints_are_recognised(mine: Path) -> None:
    torch.save({"state_dict": {"weight": torch.zeros(3)}}, mine / MAPPING)
    with pytest.raises(CheckpointError, match=r"no mapping in it, found state_dict; a checkpoint of another model"):
        load(mine)
    torch.save([1, 2], mine / MAPPING)
    with pytest.raises(CheckpointError, match="holds a list"):
        load(mine)
    safe.save_file({"unet.weight": torch.zeros(3)}, mine / COMBINED)
    with pytest.raises(CheckpointError, match="no tensor of audio2exp"):
        load(mine)


def test_missing_and_present_files_are_listed(mine: Path, tmp_path: Path) -> None:
    (mine / "SadTalker_V0.0.2_512.safetensors").unlink()
    with pytest.raises(
        CheckpointError, match=r"SadTalker_V0.0.2_512.safetensors not there; found SadTalker_V0.0.2_256"
    ):
        load(mine, 512)
    with pytest.raises(CheckpointError, match="no such folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="for 256 and 512 pixels"):
        load(mine, 128)


def test_stand_ins_depend_on_the_salt_and_leave_nothing_half_written(current: Path, tmp_path: Path) -> None:
    stand_in.write_stand_ins(tmp_path, salt=1, width=WIDTH, sizes=[256], report=lambda _: None)
    found, other = (safe.load_file(folder / COMBINED)["audio2exp.mapping1.weight"] for folder in (tmp_path, current))
    assert not torch.equal(found, other)
    assert not list(tmp_path.glob("*.tmp"))
