"""Parity cases: for each golden file, the stage to run on its inputs and the outputs to compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from engines.errors import AvatarError
from export.parity.clip import constants, move, picture, run_clip
from export.parity.compare import Array
from export.parity.stages import Stages
from export.parity.streamed import stream_clip
from export.sadtalker.networks.mapping import KEYPOINTS, Motion, move_keypoints
from export.sadtalker.networks.pose import STYLES
from streamer.core import npz

Arrays = Mapping[str, Array]

STREAMED = " streamed"  # suffix of the names of the streaming pipeline's outputs
# Arbitrary points: any will do to compare motions.
CANONICAL = np.linspace(-1, 1, 3 * KEYPOINTS, dtype=np.float32).reshape(1, KEYPOINTS, 3)[:, ::-1].copy()


@dataclass(frozen=True)
class Outcome:
    """Outputs of a case.

    found: arrays by name; derived: further expected arrays, computed from those in the file.
    """

    found: Arrays
    derived: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """Function and inputs for golden files of one kind. inputs: names of arrays that are not compared."""

    inputs: frozenset[str]
    run: Callable[[Arrays, Path, Stages], Outcome]


def case_of(path: Path) -> Case:
    """Look up the case of a golden file by its name. Raises AvatarError for an unknown name."""
    for prefix, case in _CASES.items():
        if path.stem.startswith(prefix):
            return case
    raise AvatarError(f"{path}: no golden file that parity knows; expected names that begin with {', '.join(_CASES)}")


def read(path: Path) -> dict[str, Array]:
    """Read all arrays of an .npz file. Raises AvatarError if it cannot be read."""
    return npz.load(path)


def _expression(given: Arrays, _: Path, stages: Stages) -> Outcome:
    made = []
    # The stage takes one reference for all frames; here each frame may have its own.
    frames = zip(
        given["mel"].reshape(-1, 1, 1, *given["mel"].shape[-2:]),
        given["ref"].reshape(-1, 1, 64),
        given["ratio"].reshape(-1, 1, 1),
        strict=True,
    )
    for mel, reference, blink in frames:
        inputs = {"mel": mel, "reference_expression": reference, "blink": blink}
        made.append(stages.run("expression", inputs)["expression"])
    return Outcome({"exp": np.concatenate(made).reshape(given["ref"].shape)})


def _pose(given: Arrays, _: Path, stages: Stages) -> Outcome:
    style = np.eye(STYLES, dtype=np.float32)[[int(given["class_id"])]]
    made = []
    for mel, reference, latent in zip(given["mel"], given["ref"], given["z"], strict=True):
        inputs = {"mel": mel, "reference_pose": reference[None], "noise": latent[None], "style": style}
        made.append(stages.run("pose", inputs))
    found = {"pose_motion": np.stack([outputs["residual"] for outputs in made])}
    if all("embedding" in outputs for outputs in made):
        found["audio_emb"] = np.stack([outputs["embedding"] for outputs in made])
    return Outcome(found)


def _mapping(given: Arrays, _: Path, stages: Stages) -> Outcome:
    """Return mappingNet's outputs where the engine exposes them, and always the keypoints computed from them."""
    outputs = move(given["coeff"], CANONICAL, stages)
    motion = Motion(*(torch.from_numpy(given[name]) for name in Motion._fields))
    wanted = move_keypoints(torch.from_numpy(CANONICAL), motion).numpy()
    return Outcome(outputs, {"keypoints": wanted})


def _keypoints(given: Arrays, path: Path, stages: Stages) -> Outcome:
    coefficients = _neighbour(path, "mapping70.npz")["coeff"]
    canonical = stages.run("appearance", {"portrait": picture(given["image"])})["canonical_keypoints"]
    points = move(coefficients, canonical, stages)["keypoints"]
    return Outcome({"kp_canonical": canonical, "kp_source": points[:1], "kp_driving": points[1:2]})


def _generator(given: Arrays, path: Path, stages: Stages) -> Outcome:
    image = given["image"] if "image" in given else _neighbour(path, "keypoints.npz")["image"]
    appearance = constants(image, stages)
    points = {"source_keypoints": given["kp_source"], "driving_keypoints": given["kp_driving"]}
    outputs = stages.run("render", appearance | points)
    image = outputs["image"]
    found = {"prediction": image, "prediction_mean": image.mean((2, 3))}
    if "volume" in appearance:
        found["feature_3d_sub"] = appearance["volume"][:, :, ::4, ::8, ::8]
    if "deformation" in outputs:
        found["deformation"] = outputs["deformation"][:, ::4, ::4, ::4]
    if "occlusion" in outputs:
        found["occlusion_map"] = outputs["occlusion"]
    if "masks" in outputs:
        found["mask_mean"] = outputs["masks"].mean((2, 3, 4))
    return Outcome(found)


def _coefficients(given: Arrays, _: Path, stages: Stages) -> Outcome:
    return Outcome({"coeff": stages.run("coefficients", {"face": picture(given["image"])})["coefficients"]})


def _clip(given: Arrays, _: Path, stages: Stages) -> Outcome:
    """Run the whole chain offline, then streamed."""
    found = dict(run_clip(given, stages))
    derived = {}
    for name, array in stream_clip(given, stages, found["kp_canonical"]).items():
        found[name + STREAMED], derived[name + STREAMED] = array, given[name]
    return Outcome(found, derived)


def _neighbour(path: Path, name: str) -> dict[str, Array]:
    """Read another file of the folder that holds some of this case's inputs."""
    other = path.with_name(name)
    if not other.is_file():
        raise AvatarError(f"{path}: its inputs are in {name}, which is not there")
    return read(other)


_CASES = {
    "expnet": Case(frozenset({"mel", "ref", "ratio"}), _expression),
    "posevae": Case(frozenset({"mel", "ref", "z", "class_id"}), _pose),
    "mapping": Case(frozenset({"coeff"}), _mapping),
    "keypoints": Case(frozenset({"image"}), _keypoints),
    "generator": Case(frozenset({"image", "kp_source", "kp_driving"}), _generator),
    "face_3drecon": Case(frozenset({"image"}), _coefficients),
    "offline_clip": Case(
        frozenset({"pcm", "ref", "blink", "z", "pose_style", "coeff_scale", "image"}),
        _clip,
    ),
}
