"""Define the graphs of each stage, with example inputs for tracing."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from export.sadtalker.graphs import stages
from export.sadtalker.graphs.geometry import Look, Warp, sample_atlas
from export.sadtalker.graphs.rewritten import Decode, Estimate, Forms
from export.sadtalker.networks.audio import EXPRESSION, ExpNet
from export.sadtalker.networks.dense_motion import COMPRESSED, MOTIONS
from export.sadtalker.networks.face_recon import FaceRecon
from export.sadtalker.networks.generator import Generator
from export.sadtalker.networks.keypoints import DEPTH, KeypointDetector
from export.sadtalker.networks.mapping import KEYPOINTS, MappingNet
from export.sadtalker.networks.pose import BLOCK, LATENT, POSE, STYLES, PoseVAE
from export.sadtalker.networks.registry import Networks
from export.tools.onnx_file import GraphPlan

WINDOW = 27  # frames of coefficients that mappingNet sees
MEL = (1, 80, 16)
FACE = 224  # side in pixels of the picture that coefficients are estimated from
SHRINK = 4  # ratio of picture size to feature map size
EXAMPLES = 2  # batch size while tracing: 1 would be taken for a constant

# Measured on CPUs (OpenVINO, ONNX Runtime). For GPUs chosen without measurement: ordinary convolutions, which suit
# tensor cores best, and interleaving only where it saves most.
ON_CPU = Forms(hourglass="transposed", up_0="transposed", up_1="transposed")
ON_GPU = Forms(hourglass="plain", up_0="phases", up_1="phases")

Plans = dict[str, tuple[GraphPlan, ...]]


def stage_plans(networks: Networks, size: int) -> Plans:
    """List every stage's graphs, in order, for pictures of `size` pixels."""
    return {
        "expression": (_expression(networks.audio2exp),),
        "pose": (_pose(networks.audio2pose),),
        "motion": (_motion("motion", networks.mapping70),),
        "motion_full": (_motion("motion_full", networks.mapping73),),
        "appearance": _appearance(networks.kp_extractor, networks.generator, size),
        "render": render_plans(networks.generator, size),
        "coefficients": (_coefficients(networks.face_3drecon),),
    }


def _expression(network: ExpNet) -> GraphPlan:
    inputs = {
        "mel": torch.rand(EXAMPLES, *MEL),
        "blink": torch.zeros(EXAMPLES, 1),
        "reference_expression": torch.zeros(1, EXPRESSION),
    }
    batched = ("mel", "blink", "expression")
    return GraphPlan("expression", stages.Expression(network), inputs, ("expression",), batched=batched)


def _pose(network: PoseVAE) -> GraphPlan:
    inputs = {
        "mel": torch.rand(BLOCK, *MEL),
        "noise": torch.zeros(1, LATENT),
        "style": torch.eye(1, STYLES),
        "reference_pose": torch.zeros(1, POSE),
    }
    return GraphPlan("pose", stages.Pose(network), inputs, ("residual",))


def _motion(name: str, network: MappingNet) -> GraphPlan:
    channels = cast(nn.Conv1d, network.first[0]).in_channels
    inputs = {
        "coefficients": torch.zeros(EXAMPLES, channels, WINDOW),
        "view": torch.zeros(EXAMPLES, 3),
        "view_on": torch.zeros(EXAMPLES, 3),
        "canonical_keypoints": torch.zeros(1, KEYPOINTS, 3),
    }
    batched = ("coefficients", "view", "view_on", "keypoints")
    return GraphPlan(name, stages.Motion(network), inputs, ("keypoints",), batched=batched)


def _appearance(detector: KeypointDetector, generator: Generator, size: int) -> tuple[GraphPlan, ...]:
    inputs = {"portrait": torch.rand(1, 3, size, size)}
    return (
        GraphPlan("appearance_keypoints", stages.Canonical(detector), inputs, ("canonical_keypoints",)),
        GraphPlan("appearance_volume", stages.Appearance(generator), inputs, ("volume", "compressed")),
    )


def _coefficients(network: FaceRecon) -> GraphPlan:
    return GraphPlan(
        "coefficients", stages.Coefficients(network), {"face": torch.rand(1, 3, FACE, FACE)}, ("coefficients",)
    )


def render_plans(generator: Generator, size: int) -> tuple[GraphPlan, ...]:
    """List the per-frame graphs, split where precision changes: coordinates, sampling and pixels stay in float32."""
    side = size // SHRINK
    volume = generator.dense_motion_network.compress.in_channels
    known = {
        "compressed": torch.rand(1, COMPRESSED, DEPTH, side, side),
        "volume": torch.rand(1, volume, DEPTH, side, side),
        "source_keypoints": torch.zeros(1, KEYPOINTS, 3),
        "driving_keypoints": torch.full((1, KEYPOINTS, 3), 0.1),
        "evidence": torch.rand(1, MOTIONS * (1 + COMPRESSED), DEPTH, side, side),
        "logits": torch.rand(1, MOTIONS, DEPTH, side, side),
        "occlusion": torch.rand(1, 1, side, side),
        "warped": torch.rand(1, volume * DEPTH, side, side),
        "image": torch.rand(1, 3, size, size),
    }

    def plan(name: str, module: nn.Module, inputs: str, outputs: str, **more: bool | nn.Module) -> GraphPlan:
        given = {key: known[key] for key in inputs.split()}
        return GraphPlan(f"render_{name}", module, given, tuple(outputs.split()), **more)  # type: ignore[arg-type]

    keypoints = "source_keypoints driving_keypoints"
    return (
        plan("look", Look(), f"compressed {keypoints}", "evidence"),
        plan(
            "estimate",
            Estimate(generator.dense_motion_network, ON_CPU),
            "evidence",
            "logits occlusion",
            half=True,
            gpu=Estimate(generator.dense_motion_network, ON_GPU),
        ),
        plan("warp", Warp(), f"volume logits {keypoints}", "warped deformation", openvino=Warp(sample_atlas)),
        plan(
            "decode",
            Decode(generator, ON_CPU),
            "warped occlusion",
            "image",
            half=True,
            gpu=Decode(generator, ON_GPU),
        ),
        plan("frame", stages.Frame(), "image", "frame"),
    )
