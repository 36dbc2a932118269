"""Load tensors into networks: every key must be present, with the right shape, and no other; errors list the names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from engines.errors import AvatarError
from export.sadtalker.networks.registry import BUILDERS, Networks, build
from export.sadtalker.networks.stand_in_weights import COMPUTED, stand_in_state

_NAMES_SHOWN = 5


class CheckpointError(AvatarError):
    """A checkpoint is missing, damaged, dangerous, or of another model."""


def load(name: str, state: Mapping[str, Tensor], origin: str, width: float = 1.0) -> nn.Module:
    """Load the tensors of `state` into the network `name`; messages name their `origin`.

    Raises:
        CheckpointError: a tensor is missing, left over, misshapen or not finite.
    """
    network = build(name, width)
    wanted = network.state_dict()
    faults = {
        "missing": [key for key in wanted if key not in state],
        "unknown": [key for key in state if key not in wanted],
        "misshapen": [
            f"{key} {list(state[key].shape)} instead of {list(tensor.shape)}"
            for key, tensor in wanted.items()
            if key in state and state[key].shape != tensor.shape
        ],
        "not finite": [key for key in wanted if key in state and not torch.isfinite(state[key]).all()],
    }
    found = [f"{kind}: {listing(names)}" for kind, names in faults.items() if names]
    if found:
        raise CheckpointError(f"{origin}: not the {name} of SadTalker; {'; '.join(found)}")
    network.load_state_dict({key: state[key].to(tensor.dtype) for key, tensor in wanted.items()})
    return network.eval().requires_grad_(False)


def load_all(states: Mapping[str, Mapping[str, Tensor]], origins: Mapping[str, str], width: float = 1.0) -> Networks:
    """Load all networks from states by name. Raises CheckpointError as `load` does."""
    loaded = {name: load(name, states[name], origins[name], width) for name in BUILDERS}
    return Networks(**loaded)  # type: ignore[arg-type]


def stand_in(name: str, salt: int = 0, width: float = 1.0) -> dict[str, Tensor]:
    """Make the state dict of a network of this width with stand-in weights."""
    wanted = build(name, width).state_dict()
    made = stand_in_state(name, {key: tuple(tensor.shape) for key, tensor in wanted.items()}, salt)
    return {
        key: tensor if key == COMPUTED else torch.from_numpy(np.asarray(made[key])) for key, tensor in wanted.items()
    }


def listing(names: Sequence[str | Path]) -> str:
    """List names for a message: the first few, and the count of the others."""
    shown = ", ".join(map(str, names[:_NAMES_SHOWN]))
    return shown if len(names) <= _NAMES_SHOWN else f"{shown} and {len(names) - _NAMES_SHOWN} more"
