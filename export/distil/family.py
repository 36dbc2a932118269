"""Write a student as a family: its teacher's networks up to the keypoints, the student's after them, and its avatar."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import onnx
import torch

from engines import manifest_file
from engines.manifest import Manifest
from engines.manifest_file import FileEntry, GraphEntry, ManifestFile, StageEntry
from engines.runtime import Engines
from export.distil.graphs import export_stages
from export.distil.regions import Regions
from export.distil.student import Student
from export.tools.folder import replacing
from streamer.avatar import bundle_files
from streamer.avatar.bundle import Avatar
from streamer.avatar.catalogue import AvatarInfo, write_info
from streamer.core.pictures import to_bytes

DRAWING = ("appearance", "render", "paint", "coefficients")  # stages that a student replaces or leaves out


def family_name(avatar: Avatar, teacher: Manifest) -> str:
    """Return the name of a student's family."""
    return f"{avatar.name}-{teacher.family}"


def write_family(student: Student, regions: Regions, engines: Engines, avatar: Avatar, folder: Path) -> None:
    """Write the family; it replaces `folder` only when complete. Raises OSError."""
    teacher = engines.manifest
    taught = manifest_file.read(teacher.folder)
    with replacing(folder) as work:
        stages = {name: stage for name, stage in taught.stages.items() if name not in DRAWING}
        for stage in stages.values():
            _copy(stage, teacher.folder, work)
        stages |= export_stages(student.eval(), regions, work)
        home = work / "avatars" / avatar.name
        _write_bundle(avatar, engines, family_name(avatar, teacher), home)
        manifest = ManifestFile(
            family=family_name(avatar, teacher),
            version=_weights_hash(student),
            licence=taught.licence,
            built_by=f"export.distil, torch {torch.__version__}, onnx {onnx.__version__}, from {taught.built_by}",
            fps=taught.fps,
            sample_rate=taught.sample_rate,
            size=taught.size,
            coefficients=taught.coefficients,
            stages=stages,
            files=tuple(FileEntry.of(work, path) for path in sorted(home.iterdir())),
            default_avatar=avatar.name,
            avatars=(avatar.name,),
        )
        manifest_file.write(work, manifest)


def _copy(stage: StageEntry, origin: Path, folder: Path) -> None:
    for graph in stage.graphs:
        for name in _files(graph):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(origin / name, folder / name)


def _files(graph: GraphEntry) -> set[str]:
    others = [*graph.alternatives.values(), *([graph.quantised] if graph.quantised else [])]
    return {graph.file, *(entry.file for entry in others)}


def _write_bundle(avatar: Avatar, engines: Engines, family: str, home: Path) -> None:
    """Write the avatar, with all inputs that its stages took from the teacher's appearance stage."""
    origin, known = avatar.info.folder, avatar.constants
    home.mkdir(parents=True)
    write_info(
        AvatarInfo(
            avatar.name, avatar.info.title, avatar.info.description, avatar.info.licence, home, avatar.info.mode
        ),
        family,
    )
    bundle_files.write_picture(home / bundle_files.PORTRAIT, to_bytes(known["portrait"][0].transpose(1, 2, 0)))
    for name in (bundle_files.MATTE, bundle_files.WHOLE):
        if (origin / name).is_file():
            shutil.copyfile(origin / name, home / name)
    arrays = bundle_files.read_arrays(origin / bundle_files.ARRAYS)
    for stage in ("expression", "pose", "motion", avatar.motion_stage):
        taken = avatar.constants_of(engines.manifest.stage(stage))
        arrays |= {name: value for name, value in taken.items() if not name.startswith("reference_")}
    bundle_files.write_arrays(home / bundle_files.ARRAYS, arrays)


def _weights_hash(student: Student) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(student.state_dict().items()):
        digest.update(name.encode() + value.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]
