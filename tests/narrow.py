"""The official networks with few channels and stand-in weights, and the family built from them in seconds."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from export.family import build_family
from export.networks.registry import BUILDERS, build
from export.stand_in_weights import stand_in_state

WIDTH, SIZE = 1 / 16, 128


def narrow_networks(salt: int = 0) -> dict[str, nn.Module]:
    """All networks by name, WIDTH wide."""
    torch.set_num_threads(1)
    networks = {}
    for name in BUILDERS:
        network = build(name, WIDTH)
        shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
        state = {key: torch.from_numpy(value) for key, value in stand_in_state(name, shapes, salt).items()}
        network.load_state_dict(state, strict=False)  # the keypoint detector's computed kernel stays
        networks[name] = network
    return networks


def build_narrow(folder: Path) -> Path:
    """The family, in `folder`."""
    return build_family(narrow_networks(), folder, size=SIZE)
