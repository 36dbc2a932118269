"""Registry of all networks, named as in the official checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from export.sadtalker.networks.audio import ExpNet
from export.sadtalker.networks.face_recon import FaceRecon
from export.sadtalker.networks.generator import Generator
from export.sadtalker.networks.keypoints import KeypointDetector
from export.sadtalker.networks.mapping import MappingNet
from export.sadtalker.networks.pose import PoseVAE

BUILDERS: dict[str, Callable[[float], nn.Module]] = {
    "audio2exp": ExpNet,
    "audio2pose": PoseVAE,
    "kp_extractor": KeypointDetector,
    "generator": Generator,
    "mapping70": lambda width: MappingNet(70, width),
    "mapping73": lambda width: MappingNet(73, width),
    "face_3drecon": FaceRecon,
}


@dataclass(frozen=True)
class Networks:
    """The whole family, one field per key of BUILDERS."""

    audio2exp: ExpNet
    audio2pose: PoseVAE
    kp_extractor: KeypointDetector
    generator: Generator
    mapping70: MappingNet
    mapping73: MappingNet
    face_3drecon: FaceRecon


def build(name: str, width: float = 1.0) -> nn.Module:
    """Build the network `name`, a key of BUILDERS, with uninitialised weights."""
    return BUILDERS[name](width)
