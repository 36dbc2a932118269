"""Interface that parity tests run on: a family's stages, named as in the manifest; here the torch networks.

Each engine implements `Stages`. Outputs beyond the manifest's (logits, masks, ...) are optional; missing ones are not
compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar, cast

import torch
from torch import Tensor, nn

from export.parity.compare import Array
from export.sadtalker.networks.audio import ExpNet
from export.sadtalker.networks.face_recon import FaceRecon
from export.sadtalker.networks.generator import Appearance, Generator
from export.sadtalker.networks.keypoints import KeypointDetector
from export.sadtalker.networks.mapping import MappingNet, degrees, move_keypoints
from export.sadtalker.networks.pose import PoseVAE

N = TypeVar("N", bound=nn.Module)


class Stages(Protocol):
    """A family that can be run stage by stage."""

    def run(self, stage: str, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """Run `stage` once and return its outputs. Unknown inputs are ignored.

        expression: mel [n,1,80,16], blink [n,1], reference_expression [1,64] -> expression [n,64]
        pose: mel [32,1,80,16], noise [1,64], style [1,46], reference_pose [1,6] -> residual [32,6], (embedding)
        motion, motion_full: coefficients [n,C,27], canonical_keypoints [1,15,3], view and view_on [n,3]
            -> keypoints [n,15,3], (yaw, pitch, roll, t, exp, yaw_deg, pitch_deg, roll_deg)
        appearance: portrait [1,3,S,S] -> canonical_keypoints [1,15,3], volume, and what else render takes
        render: those, source_keypoints, driving_keypoints [1,15,3] -> image [1,3,S,S], (deformation, occlusion, masks)
        coefficients: face [1,3,224,224] -> coefficients [1,257]
        """


class TorchStages:
    """Stages on the torch networks; `network` builds each one on first use."""

    def __init__(self, network: Callable[[str], nn.Module]) -> None:
        self._make = network
        self._made: dict[str, nn.Module] = {}

    def run(self, stage: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run a stage, see `Stages`."""
        tensors = {name: torch.from_numpy(value) for name, value in inputs.items()}
        with torch.inference_mode():
            outputs = _STAGES[stage](self, tensors)
        return {name: value.numpy() for name, value in outputs.items()}

    def _get(self, name: str, kind: type[N]) -> N:
        if name not in self._made:
            self._made[name] = self._make(name)
        return cast(N, self._made[name])

    def _expression(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        network = self._get("audio2exp", ExpNet)
        return {"expression": network(given["mel"], given["reference_expression"], given["blink"])}

    def _pose(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        network = self._get("audio2pose", PoseVAE)
        embedding = network.embed(given["mel"])
        residual = network.decode(embedding, given["reference_pose"], given["noise"], given["style"])
        return {"residual": residual, "embedding": embedding}

    def _motion(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return self._mapped("mapping70", given)

    def _motion_full(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return self._mapped("mapping73", given)

    def _mapped(self, name: str, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        motion = self._get(name, MappingNet)(given["coefficients"])
        moved = move_keypoints(given["canonical_keypoints"], motion, given.get("view"), given.get("view_on"))
        angles = {"yaw": motion.yaw, "pitch": motion.pitch, "roll": motion.roll}
        in_degrees = {f"{name}_deg": degrees(logits) for name, logits in angles.items()}
        return {"keypoints": moved, "t": motion.t, "exp": motion.exp, **angles, **in_degrees}

    def _appearance(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        canonical = self._get("kp_extractor", KeypointDetector)(given["portrait"])
        appearance = self._get("generator", Generator).appearance(given["portrait"])
        return {"canonical_keypoints": canonical, **appearance._asdict()}

    def _render(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        appearance = Appearance(given["volume"], given["compressed"])
        network = self._get("generator", Generator)
        made = network.render(appearance, given["driving_keypoints"], given["source_keypoints"])
        parts = {"deformation": made.deformation, "occlusion": made.occlusion, "masks": made.masks}
        return {"image": made.prediction, **parts}

    def _coefficients(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"coefficients": self._get("face_3drecon", FaceRecon)(given["face"])}


_STAGES: dict[str, Callable[[TorchStages, Mapping[str, Tensor]], dict[str, Tensor]]] = {
    "expression": TorchStages._expression,
    "pose": TorchStages._pose,
    "motion": TorchStages._motion,
    "motion_full": TorchStages._motion_full,
    "appearance": TorchStages._appearance,
    "render": TorchStages._render,
    "coefficients": TorchStages._coefficients,
}
