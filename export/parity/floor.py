"""The one step of the generator that rounding can turn over: a mask below MASK_FLOOR counts as nothing.

Two exact computations in float32 differ in the last bits of a mask (here by some 1e-7). Where a mask lies that near to
the floor, one keeps it and the other drops it; the voxel is then fetched from elsewhere (by up to MASK_FLOOR of the
volume's half), and a few pixels about it change by up to some hundredths. That is no error of either. So before
pictures are compared, the voxels that an engine decided in the other way are put back, provided that float64 confirms
that they lie within ROUNDING of the floor. What is left is compared by its maximum.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from export.parity.compare import Array
from export.sadtalker.networks.dense_motion import MASK_FLOOR, deformation
from export.sadtalker.networks.generator import Generator

ROUNDING = 1e-6  # of a mask near the floor: a thousandth of it, as of logits that are 1e-3 off at most
MOVED = 1e-5  # of a deformation: beyond what rounding does where no mask is turned over


@dataclass(frozen=True)
class Settled:
    """Picture and deformation with the network's own decisions at the voxels concerned.

    turned: masks that the engine decided otherwise; distance: of the farthest of them from the floor, in float64; 0
    where there is none.
    """

    image: Array
    deformation: Array
    turned: int
    distance: float

    @property
    def by_rounding(self) -> bool:
        """Whether rounding explains them all."""
        return self.distance <= ROUNDING


@torch.inference_mode()
def settle(network: Generator, given: Mapping[str, Array], made: Mapping[str, Array]) -> Settled:
    """given: what the engine's render stage was given; made: its outputs, with logits, occlusion and deformation."""
    source, driving = (torch.from_numpy(given[f"{name}_keypoints"]) for name in ("source", "driving"))
    motion = network.dense_motion_network
    candidates = motion.candidates(torch.from_numpy(given["compressed"]), driving, source)
    own = F.softmax(motion.estimate(candidates.evidence).logits, 1)
    own_deformation = deformation(own, candidates.motions)
    engine_deformation = torch.from_numpy(made["deformation"])
    if float((own_deformation - engine_deformation).abs().max()) <= MOVED:
        return Settled(made["image"], made["deformation"], 0, 0.0)
    theirs = F.softmax(torch.from_numpy(made["logits"]), 1)
    turned = (own < MASK_FLOOR) != (theirs < MASK_FLOOR)
    mended = torch.where(turned.any(1)[..., None], own_deformation, engine_deformation)
    change = _drawn(network, given, engine_deformation, made) - _drawn(network, given, mended, made)
    distance = _distance(network, given, turned)
    return Settled(made["image"] - change, mended.numpy(), int(turned.sum()), distance)


def _drawn(network: Generator, given: Mapping[str, Array], moved: Tensor, made: Mapping[str, Array]) -> Array:
    """The picture that the network draws along a deformation."""
    features = network.warp(torch.from_numpy(given["volume"]), moved, torch.from_numpy(made["occlusion"]))
    return np.asarray(network.decoder(features).numpy())


def _distance(network: Generator, given: Mapping[str, Array], turned: Tensor) -> float:
    """How far the masks `turned` lie from the floor at most, computed in float64."""
    exact = copy.deepcopy(network.dense_motion_network).double()
    points = (torch.from_numpy(given[f"{name}_keypoints"]).double() for name in ("driving", "source"))
    candidates = exact.candidates(torch.from_numpy(given["compressed"]).double(), *points)
    masks = F.softmax(exact.estimate(candidates.evidence).logits, 1)
    return float((masks[turned] - MASK_FLOOR).abs().max()) if bool(turned.any()) else float("inf")
