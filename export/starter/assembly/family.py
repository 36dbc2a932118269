"""Assemble the starter family: graphs, topology, bundled avatars and their manifest.

    python -m export.starter.assembly.family --assets DIR --weights export/starter/data/generator.npz \
        --out engines/starter

The expression graph must already be in the folder (see export.starter.training.train_expression), and so must the
portraits (avatars/NAME/portrait.webp; see export.starter.rendering.portraits). The face rig (rig.npz) is made if it
is missing.

The other forms change one part of an existing family. Enter a new expression graph:

    python -m export.starter.assembly.family --expression --out engines/starter

Enter a new pose graph (pose.onnx; see export.starter.training.train_pose):

    python -m export.starter.assembly.family --pose --out engines/starter

Export the family's expression graph again with the mouth shapes of `voices.visemes.units`:

    python -m export.starter.assembly.family --mouth --out engines/starter

Enter new portraits of its characters:

    python -m export.starter.assembly.family --characters --assets DIR --out engines/starter

Export the graphs of the generator from new weights; this drops the 8-bit decoder:

    python -m export.starter.assembly.family --pictures --weights export/starter/data/generator.npz \
        --out engines/starter

Make the 8-bit decoder:

    python -m export.starter.assembly.family --int8 --out engines/starter
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import onnx
import torch

from engines import manifest_file
from engines.errors import ManifestError
from engines.files import replacing
from engines.manifest_file import (
    Coefficients,
    Context,
    FileEntry,
    GraphEntry,
    ManifestFile,
    Shape,
    StageEntry,
    TypedTensor,
    sha256,
)
from export.starter.assembly import face_rig
from export.starter.assembly.bundle import SIZE, character_arrays, complete_bundle, seen_landmarks
from export.starter.assembly.onnx_graphs import export_graph, motion_plan, picture_plans
from export.starter.assembly.quantised import FILE, quantise
from export.starter.motion.process import STYLES
from export.starter.rendering.dataset import PLAIN
from export.starter.rendering.people import CHARACTERS
from export.starter.rendering.points import PointSet, choose_points, topology
from export.starter.rendering.rig import Person, Rig
from export.starter.training.expression_net import AHEAD, WINDOW, export_expression, read_expression, unheard_by
from export.starter.training.generator import FINE, Generator
from export.starter.training.pose_net import BLOCK, HEARD, LATENT, PAST
from export.starter.training.weights import load_weights
from streamer.avatar.bundle_files import ARRAYS, MATTE, SHIPPED_PORTRAIT, portrait_file
from streamer.avatar.catalogue import ABOUT
from streamer.core.rates import EXPRESSION_LOOKAHEAD, FPS, MEL_BANDS, MEL_HOP, SAMPLE_RATE, ms_to_samples
from streamer.stages.mel_windows import LEVELLED
from streamer.stages.pose import CAUSAL, IDLE

FAMILY, VERSION = "starter", "0"
POSE_GRAPH = "pose.onnx"
STEP_MS = 5  # look-aheads are rounded up to a multiple of it
MOTION_LOOKAHEAD_MS = 40
PICTURE_STAGES = ("appearance", "render", "paint")
POSE = ("pitch", "yaw", "roll", "tx", "ty", "tz")


def expression_stage(folder: Path, units: int, process: str | None = LEVELLED) -> StageEntry:
    """Describe the folder's expression graph for the manifest. Raises FileNotFoundError if it is missing."""
    path = folder / "expression.onnx"
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    inputs: dict[str, Shape | TypedTensor] = {"mel": ("n", 1, MEL_BANDS, WINDOW)}
    graph = GraphEntry(path.name, sha256(path), "fp32", inputs, {"expression": ("n", units)})
    samples = EXPRESSION_LOOKAHEAD + (AHEAD - unheard_by(model)) * MEL_HOP  # relative to SadTalker's
    return StageEntry(-(-samples // ms_to_samples(STEP_MS)) * STEP_MS, (graph,), process=process)


def replace_expression(folder: Path) -> None:
    """Enter the newly trained expression graph in an assembled family's folder into its manifest."""

    def edit(manifest: ManifestFile) -> None:
        manifest.stages["expression"] = expression_stage(folder, len(manifest.coefficients.expression))

    manifest_file.change(folder, edit)


def pose_stage(folder: Path) -> StageEntry:
    """Return the manifest's entry of the pose graph in the folder, or of the hand-written process if it is missing."""
    path = folder / POSE_GRAPH
    if not path.is_file():
        return StageEntry(0, process=IDLE)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    inputs: dict[str, Shape | TypedTensor] = {
        "mel": (HEARD, 1, MEL_BANDS, WINDOW),
        "noise": (1, LATENT),
        "style": (1, STYLES),
        "past": (PAST, len(POSE)),
    }
    graph = GraphEntry(path.name, sha256(path), "fp32", inputs, {"residual": (BLOCK, len(POSE))})
    return StageEntry(0, (graph,), process=CAUSAL)


def replace_pose(folder: Path) -> None:
    """Enter the newly trained pose graph in an assembled family's folder into its manifest."""

    def edit(manifest: ManifestFile) -> None:
        manifest.stages["pose"] = pose_stage(folder)

    manifest_file.change(folder, edit)


def replace_mouth(folder: Path) -> None:
    """Export the family's expression network again with the present mouth shapes of `units`. Nothing is trained, so its
    input features stay as in training."""
    names = manifest_file.read(folder).coefficients.expression
    export_expression(read_expression(folder / "expression.onnx", names), folder / "expression.onnx")

    def edit(manifest: ManifestFile) -> None:
        process = manifest.stages["expression"].process
        manifest.stages["expression"] = expression_stage(folder, len(names), process)

    manifest_file.change(folder, edit)


def replace_pictures(folder: Path, weights: Path) -> None:
    """Export the generator's graphs into an assembled family's folder, replacing the old ones."""
    manifest = manifest_file.read(folder)
    stages = manifest.stages
    keypoints = stages["render"].graphs[0].inputs["source_keypoints"]
    if isinstance(keypoints, TypedTensor) or not isinstance(keypoints[1], int):
        raise ManifestError(f"{folder}: source_keypoints is {keypoints}, expected float32 [1, points, 3]")
    model = Generator()
    load_weights(weights, model)
    before = {graph.file for name in PICTURE_STAGES if name in stages for graph in stages[name].graphs} | {FILE}
    stages |= picture_stages(model.eval(), keypoints[1], folder)
    manifest_file.write(folder, manifest)
    for unused in before - {graph.file for name in PICTURE_STAGES for graph in stages[name].graphs}:
        (folder / unused).unlink(missing_ok=True)


def picture_stages(model: Generator, points: int, folder: Path) -> dict[str, StageEntry]:
    """Export the generator's graphs, and return their stages."""
    graphs = {
        stage: tuple(export_graph(plan, folder) for plan in plans)
        for stage, plans in picture_plans(model, points).items()
    }
    return {
        "appearance": StageEntry(0, graphs["appearance"]),
        "render": StageEntry(0, graphs["render"], conditions="topology.npz"),
        "paint": StageEntry(0, graphs["paint"], layer_scale=FINE),
    }


def assemble(assets: Path, weights: Path, folder: Path) -> None:
    """Write the whole family into `folder`."""
    rig = Rig(assets)
    plain = Person(rig, PLAIN)
    points = choose_points(rig, plain)
    units = sorted(rig.units)
    model = Generator()
    load_weights(weights, model)
    motion = export_graph(motion_plan(len(units), len(points)), folder)
    stages = {
        "expression": expression_stage(folder, len(units)),
        "pose": pose_stage(folder),
        "motion": StageEntry(MOTION_LOOKAHEAD_MS, (motion,), Context(1, 1)),
        **picture_stages(model.eval(), len(points), folder),
        "coefficients": StageEntry(0, process="fit-rig", rig=face_rig.FILE),
    }
    if not (folder / face_rig.FILE).is_file():
        face_rig.write(assets, folder)
    with replacing(folder / "topology.npz") as partial:
        np.savez(partial, **topology(points, plain))  # type: ignore[arg-type]
    write_characters(rig, points, folder)
    _write_manifest(folder, units, stages)


def write_characters(rig: Rig, points: PointSet, folder: Path) -> None:
    """Write the bundles of the characters for the folder's portraits. Raises FileNotFoundError if one is missing."""
    for character in CHARACTERS:
        home = folder / "avatars" / character.name
        portrait = cv2.imread(str(portrait_file(home)), cv2.IMREAD_COLOR)
        if portrait is None or not (home / MATTE).is_file():
            raise FileNotFoundError(f"{home}: render its portrait with python -m export.starter.rendering.portraits")
        seen = seen_landmarks(np.asarray(portrait[..., ::-1], np.uint8))
        complete_bundle(home, character, character_arrays(rig, points, character) | {"landmarks": seen}, FAMILY)


def replace_characters(folder: Path, assets: Path) -> None:
    """Enter new portraits of the characters into an assembled family; the networks stay."""
    rig = Rig(assets)
    write_characters(rig, choose_points(rig, Person(rig, PLAIN)), folder)

    def edit(manifest: ManifestFile) -> None:
        others = [folder / entry.file for entry in manifest.files if not entry.file.startswith("avatars/")]
        manifest.files = tuple(FileEntry.of(folder, path) for path in (*others, *_character_files(folder)))
        manifest.avatars = tuple(character.name for character in CHARACTERS)

    manifest_file.change(folder, edit)


def _character_files(folder: Path) -> list[Path]:
    parts = (ABOUT, SHIPPED_PORTRAIT, MATTE, ARRAYS)
    return [folder / "avatars" / character.name / part for character in CHARACTERS for part in parts]


def _write_manifest(folder: Path, units: list[str], stages: dict[str, StageEntry]) -> None:
    names = tuple(character.name for character in CHARACTERS)
    files = [folder / "topology.npz", folder / face_rig.FILE]
    files += _character_files(folder)
    manifest = ManifestFile(
        family=FAMILY,
        version=VERSION,
        licence="Apache-2.0",
        built_by=f"export.starter.assembly.family, torch {torch.__version__}, onnx {onnx.__version__}",
        fps=FPS,
        sample_rate=SAMPLE_RATE,
        size=SIZE,
        coefficients=Coefficients(tuple(units), POSE),
        stages=stages,
        files=tuple(FileEntry.of(folder, path) for path in files),
        default_avatar=names[0],
        avatars=names,
    )
    manifest_file.write(folder, manifest)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--assets", type=Path, help="folder of MakeHuman's CC0 assets")
    parser.add_argument("--weights", type=Path, help="the generator's weights (.npz)")
    parser.add_argument("--out", type=Path, required=True, help="the family's folder")
    parser.add_argument("--expression", action="store_true", help="only take in a new expression graph")
    parser.add_argument("--pose", action="store_true", help="only take in a new pose graph")
    parser.add_argument("--mouth", action="store_true", help="only derive the mouth's shapes anew")
    parser.add_argument("--characters", action="store_true", help="only take in new portraits of the characters")
    parser.add_argument("--pictures", action="store_true", help="only export the generator's graphs anew")
    parser.add_argument("--int8", action="store_true", help="only quantise the decoder")
    args = parser.parse_args()
    if args.int8:
        quantise(args.out)
    elif args.expression:
        replace_expression(args.out)
    elif args.pose:
        replace_pose(args.out)
    elif args.mouth:
        replace_mouth(args.out)
    elif args.characters and args.assets:
        replace_characters(args.out, args.assets)
    elif args.pictures and args.weights:
        replace_pictures(args.out, args.weights)
    elif args.assets and args.weights:
        assemble(args.assets, args.weights, args.out)
    else:
        parser.error("--assets and --weights are needed, or one of the steps alone (see --help)")
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
