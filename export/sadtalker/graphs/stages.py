"""Modules to export, one per stage, with inputs and outputs named as in the manifest."""

from __future__ import annotations

from torch import Tensor, nn

from export.sadtalker.networks.audio import ExpNet
from export.sadtalker.networks.face_recon import FaceRecon
from export.sadtalker.networks.generator import Generator, to_frame
from export.sadtalker.networks.keypoints import KeypointDetector
from export.sadtalker.networks.mapping import MappingNet, move_keypoints
from export.sadtalker.networks.pose import PoseVAE


class Expression(nn.Module):
    """ExpNet."""

    def __init__(self, network: ExpNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, mel: Tensor, blink: Tensor, reference_expression: Tensor) -> Tensor:
        """mel [n, 1, 80, 16], blink [n, 1], reference_expression [1, 64] -> expression [n, 64]."""
        return self.network(mel, reference_expression, blink)


class Pose(nn.Module):
    """PoseVAE's decoder and its audio encoder, for a block of 32 frames."""

    def __init__(self, network: PoseVAE) -> None:
        super().__init__()
        self.network = network

    def forward(self, mel: Tensor, noise: Tensor, style: Tensor, reference_pose: Tensor) -> Tensor:
        """mel [32, 1, 80, 16], noise [1, 64], style [1, 46] one-hot, reference_pose [1, 6] -> residual [32, 6]."""
        return self.network(mel, reference_pose, noise, style)


class Motion(nn.Module):
    """mappingNet, applied to the canonical keypoints."""

    def __init__(self, network: MappingNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, coefficients: Tensor, view: Tensor, view_on: Tensor, canonical_keypoints: Tensor) -> Tensor:
        """coefficients [n, C, 27], view and view_on [n, 3], canonical_keypoints [1, 15, 3] -> keypoints [n, 15, 3]."""
        return move_keypoints(canonical_keypoints, self.network(coefficients), view, view_on)


class Canonical(nn.Module):
    """The keypoint detector."""

    def __init__(self, network: KeypointDetector) -> None:
        super().__init__()
        self.network = network

    def forward(self, portrait: Tensor) -> Tensor:
        """portrait [1, 3, S, S] -> canonical_keypoints [1, 15, 3]."""
        return self.network(portrait)


class Appearance(nn.Module):
    """The generator's encoder: the portrait's features that all frames are rendered from."""

    def __init__(self, network: Generator) -> None:
        super().__init__()
        self.network = network

    def forward(self, portrait: Tensor) -> tuple[Tensor, Tensor]:
        """portrait [1, 3, S, S] -> volume [1, 32, 16, S/4, S/4], compressed [1, 4, 16, S/4, S/4]."""
        return self.network.appearance(portrait)


class Coefficients(nn.Module):
    """Deep3DFaceRecon's network."""

    def __init__(self, network: FaceRecon) -> None:
        super().__init__()
        self.network = network

    def forward(self, face: Tensor) -> Tensor:
        """face [1, 3, 224, 224] -> coefficients [1, 257]."""
        return self.network(face)


class Frame(nn.Module):
    """The picture as pixels."""

    def forward(self, image: Tensor) -> Tensor:
        """image [1, 3, S, S] in 0..1 -> frame [1, S, S, 3] uint8."""
        return to_frame(image)
