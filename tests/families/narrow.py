"""The official networks with few channels and stand-in weights, and the family built from them in seconds."""

from __future__ import annotations

from pathlib import Path

import torch

from export.sadtalker.family import build_family
from export.sadtalker.networks.loading import load_all, stand_in
from export.sadtalker.networks.registry import BUILDERS, Networks

WIDTH, SIZE = 1 / 16, 128


def narrow_networks(salt: int = 0) -> Networks:
    """All networks, WIDTH wide."""
    torch.set_num_threads(1)
    states = {name: stand_in(name, salt, WIDTH) for name in BUILDERS}
    return load_all(states, dict.fromkeys(BUILDERS, "stand-in weights"), WIDTH)


def build_narrow(folder: Path) -> Path:
    """The family, in `folder`."""
    return build_family(narrow_networks(), folder, size=SIZE)
