"""Undo rounding differences at the generator's one hard threshold: masks below MASK_FLOOR are set to zero.

Two correct float32 computations differ in the last bits of a mask (here by about 1e-7). If a mask lies that close to
the threshold, one keeps it and the other drops it; the voxel is then sampled elsewhere (by up to MASK_FLOOR of half the
volume), and a few pixels change by a few hundredths. Neither result is wrong. Before pictures are compared, voxels that
the engine decided differently are therefore reset, if float64 confirms that they lie within ROUNDING of the threshold.
The remaining difference is judged by its maximum.
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

ROUNDING = 1e-6  # error of a mask at the threshold: a thousandth of it, as for logits with errors up to 1e-3
MOVED = 1e-5  # difference of a deformation above which a mask must have been decided differently


@dataclass(frozen=True)
class Settled:
    """Picture and deformation with the reference's decisions at the affected voxels.

    turned: count of masks that the engine decided differently; distance: largest distance of these masks from the
    threshold, in float64; 0 if the deformations agree.
    """

    image: Array
    deformation: Array
    turned: int
    distance: float

    @property
    def by_rounding(self) -> bool:
        """Whether rounding explains all of these differences."""
        return self.distance <= ROUNDING


@torch.inference_mode()
def settle(network: Generator, given: Mapping[str, Array], made: Mapping[str, Array]) -> Settled:
    """Reset differing masks. given: inputs of the render stage; made: outputs with logits, occlusion, deformation."""
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
    """Render the picture from a given deformation."""
    features = network.warp(torch.from_numpy(given["volume"]), moved, torch.from_numpy(made["occlusion"]))
    return np.asarray(network.decoder(features).numpy())


def _distance(network: Generator, given: Mapping[str, Array], turned: Tensor) -> float:
    """Return the largest distance of the masks `turned` from the threshold, in float64; infinite if there are none."""
    exact = copy.deepcopy(network.dense_motion_network).double()
    points = (torch.from_numpy(given[f"{name}_keypoints"]).double() for name in ("driving", "source"))
    candidates = exact.candidates(torch.from_numpy(given["compressed"]).double(), *points)
    masks = F.softmax(exact.estimate(candidates.evidence).logits, 1)
    return float((masks[turned] - MASK_FLOOR).abs().max()) if bool(turned.any()) else float("inf")
