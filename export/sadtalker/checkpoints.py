"""Find, safely read and load SadTalker's official checkpoint files.

The release v0.0.2-rc has one .safetensors file per picture size and mappingNet apart; earlier releases have one file
per network. Both spell the tensors alike.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from engines.errors import first_line
from export.sadtalker.networks.loading import CheckpointError, listing, load_all
from export.sadtalker.networks.registry import BUILDERS, Networks

SIZES = (256, 512)
MAPPING = "mapping"  # mappingNet's key in its file
WAV2LIP, WAV2LIP_ENCODER = "wav2lip.pth", "module.audio_encoder."
POSE_ENCODER = "audio_encoder.audio_encoder."
HOW_TO_GET = "`make fetch-checkpoints` gets the official files"

State = dict[str, Tensor]


@dataclass(frozen=True)
class SingleFile:
    """File of an earlier release: its name, and the key of the network's state dict in it."""

    file: str
    key: str


MAPPINGS = {
    "mapping70": SingleFile("mapping_00229-model.pth.tar", MAPPING),
    "mapping73": SingleFile("mapping_00109-model.pth.tar", MAPPING),
}
SINGLE_FILES = {
    "audio2exp": SingleFile("auido2exp_00300-model.pth", "model"),
    "audio2pose": SingleFile("auido2pose_00140-model.pth", "model"),
    "kp_extractor": SingleFile("facevid2vid_00189-model.pth.tar", "kp_detector"),
    "generator": SingleFile("facevid2vid_00189-model.pth.tar", "generator"),
    "face_3drecon": SingleFile("epoch_20.pth", "net_recon"),
}


def combined_file(size: int) -> str:
    """Return the name of the file that holds all networks but mappingNet, for pictures of this size."""
    return f"SadTalker_V0.0.2_{size}.safetensors"


@dataclass(frozen=True)
class Checkpoints:
    """All loaded networks, and each network's source files."""

    networks: Networks
    files: Mapping[str, Path]


def load_checkpoints(
    folder: Path, size: int = 256, width: float = 1.0, report: Callable[[str], None] = print
) -> Checkpoints:
    """Load every network from the official files in `folder`.

    width: other than 1 only for stand-in files written with it. report: called with each file as it is read.

    Raises:
        CheckpointError: a file is missing, unreadable, contains code, or lacks expected tensors.
    """
    single = _single_files(folder, size)
    states: dict[str, State] = {}
    files: dict[str, Path] = {}
    if len(single) == len(MAPPINGS):
        path = folder / combined_file(size)
        report(f"reading {path}")
        states |= read_safetensors(path)
        files |= dict.fromkeys(states, path)
    opened: dict[Path, dict[str, Any]] = {}
    for name, source in single.items():
        path = folder / source.file
        if path not in opened:
            report(f"reading {path}")
            opened[path] = read_pickle(path)
        states[name], files[name] = _entry(opened[path], path, source.key), path
    if len(single) > len(MAPPINGS):
        _fill_pose_encoder(states["audio2pose"], folder)
    return Checkpoints(load_all(states, {name: str(path) for name, path in files.items()}, width), files)


def _single_files(folder: Path, size: int) -> dict[str, SingleFile]:
    """Choose the networks to read from single files. Raises CheckpointError naming missing files."""
    if size not in SIZES:
        raise CheckpointError(f"size {size}: SadTalker has checkpoints for {' and '.join(map(str, SIZES))} pixels")
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder; {HOW_TO_GET}")
    combined = folder / combined_file(size)
    # The older files were trained at 256 pixels only.
    older = (
        size == SIZES[0] and not combined.is_file() and any((folder / s.file).is_file() for s in SINGLE_FILES.values())
    )
    single = SINGLE_FILES | MAPPINGS if older else MAPPINGS
    needed = [*([] if older else [combined.name]), *dict.fromkeys(source.file for source in single.values())]
    missing = [file for file in needed if not (folder / file).is_file()]
    if missing:
        raise CheckpointError(f"{folder}: {listing(missing)} not there; found {_contents(folder)}; {HOW_TO_GET}")
    return single


def _contents(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    return listing(names) if names else "no file"


def read_safetensors(path: Path) -> dict[str, State]:
    """Read the networks of a combined file, by name.

    Raises:
        CheckpointError: not a .safetensors file, truncated, or without one of the networks.
    """
    states: dict[str, State] = {name: {} for name in BUILDERS if name not in MAPPINGS}
    try:
        with safe_open(path, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118 (the file is no dictionary)
                network, _, rest = key.partition(".")
                if network in states:
                    states[network][rest] = file.get_tensor(key)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: damaged or not a .safetensors file ({first_line(error)}); {HOW_TO_GET}"
        ) from None
    absent = [name for name, state in states.items() if not state]
    if absent:
        raise CheckpointError(
            f"{path}: no tensor of {listing(absent)} in it; expected SadTalker's {combined_file(256)}"
        )
    return states


def read_pickle(path: Path) -> dict[str, Any]:
    """Read the dictionary of a .pth or .pth.tar file; only tensors and plain values are unpickled.

    Raises:
        CheckpointError: the file contains code, is truncated, or is not a pickle.
    """
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch names the call it refuses; for bytes that are not a pickle it reports an unsupported operand.
        if any(word in str(error) for word in ("Unsupported global", "Unsupported class", "instantiate", "GLOBAL")):
            raise CheckpointError(
                f"{path}: holds code, not only tensors: not opened. Do not trust this file; {HOW_TO_GET}"
            ) from None
        raise CheckpointError(f"{path}: damaged or not a checkpoint ({first_line(error)}); {HOW_TO_GET}") from None
    except Exception as error:  # torch raises many types on damaged files: RuntimeError, EOFError, KeyError, ...
        raise CheckpointError(f"{path}: damaged or not a checkpoint ({first_line(error)}); {HOW_TO_GET}") from None
    if not isinstance(data, dict):
        raise CheckpointError(f"{path}: holds a {type(data).__name__}, expected a dictionary of networks")
    return data


def _entry(data: Mapping[str, Any], path: Path, key: str) -> State:
    """Return the state dict under `key`. Raises CheckpointError if it is missing."""
    state = data.get(key)
    if not isinstance(state, dict):
        raise CheckpointError(
            f"{path}: no {key} in it, found {listing([str(k) for k in data])}; a checkpoint of another model?"
        )
    others = [str(name) for name, value in state.items() if not isinstance(value, Tensor)]
    if others:
        raise CheckpointError(f"{path}: {key} holds more than tensors: {listing(others)}")
    return dict(state)


def _fill_pose_encoder(state: State, folder: Path) -> None:
    """Copy Wav2Lip's audio encoder into PoseVAE where PoseVAE's file lacks it; both are the same network."""
    path = folder / WAV2LIP
    if any(key.startswith(POSE_ENCODER) for key in state) or not path.is_file():
        return
    source = _entry(read_pickle(path), path, "state_dict")
    for key, tensor in source.items():
        if key.startswith(WAV2LIP_ENCODER):
            state[POSE_ENCODER + key.removeprefix(WAV2LIP_ENCODER)] = tensor
