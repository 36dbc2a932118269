"""Write a small head for VRM programs, driven by the 52 units that the starter family computes.

    python -m export.starter.assembly.vrm_head --assets DIR --out examples/vrm/head.vrm

VRM 1.0 (https://github.com/vrm-c/vrm-specification): a glTF whose custom expressions have ARKit's names. The person is
made from MakeHuman's data (CC0), and the file is CC0, too. It has a head and shoulders; the other bones required by VRM
are empty.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from engines.files import replacing
from export.starter.assembly.glb import Array, Glb, Json
from export.starter.rendering.face_units import FACE_UNITS
from export.starter.rendering.look import Look
from export.starter.rendering.meshio import read_obj
from export.starter.rendering.rig import Part, Person, Rig
from export.starter.rendering.subdivision import DrawMesh

LOOK = Look(
    races={"caucasian": 0.6, "african": 0.4},
    gender="female",
    ages={"young": 1.0},
    skin="young_caucasian_female2",
    hair="short02",
    eyes="green",
    shape_detail=0.0,
    shirt=(0.08, 0.30, 0.28),
    hair_tint=(0.45, 0.34, 0.30),
)
METRE = 0.1  # metres per decimetre
LEAST = 0.001  # metres: smaller displacements are left out
FRONT_TEETH = 0.22  # decimetres behind the foremost: teeth farther back are not visible
BELOW_EYES, SHIRT_BELOW_EYES = 2.2, 2.9  # decimetres below the eyes to which body and shirt are kept
SKIN_PIXELS, OTHER_PIXELS = 512, 256
CUT_OUT = {"eyes": "MASK", "hair": "MASK", "brows": "BLEND", "lashes": "BLEND"}
BONES = (  # name, parent, position in metres relative to the parent
    ("hips", None, (0.0, 1.0, 0.0)), ("spine", "hips", (0.0, 0.1, 0.0)), ("neck", "spine", (0.0, 0.35, 0.0)),
    ("head", "neck", (0.0, 0.05, 0.0)),
    *((f"{side}{bone}", parent and (parent if parent in ("hips", "spine") else f"{side}{parent}"), (sign * x, y, 0.0))
      for side, sign in (("left", 1), ("right", -1))
      for bone, parent, x, y in (
          ("UpperLeg", "hips", 0.1, 0.0), ("LowerLeg", "UpperLeg", 0.0, -0.45), ("Foot", "LowerLeg", 0.0, -0.45),
          ("UpperArm", "spine", 0.18, 0.3), ("LowerArm", "UpperArm", 0.28, 0.0), ("Hand", "LowerArm", 0.25, 0.0))),
)  # fmt: skip
PRESETS = {  # VRM's preset expressions, for programs that do not know ARKit's names
    "aa": {"jawOpen": 0.7}, "ih": {"jawOpen": 0.25, "mouthStretchLeft": 0.5, "mouthStretchRight": 0.5},
    "ou": {"mouthPucker": 0.8, "jawOpen": 0.2}, "ee": {"mouthSmileLeft": 0.5, "mouthSmileRight": 0.5, "jawOpen": 0.2},
    "oh": {"mouthFunnel": 0.7, "jawOpen": 0.4}, "blink": {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0},
    "blinkLeft": {"eyeBlinkLeft": 1.0}, "blinkRight": {"eyeBlinkRight": 1.0},
    "happy": {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8, "cheekSquintLeft": 0.5, "cheekSquintRight": 0.5},
}  # fmt: skip


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    data = vrm(Person(Rig(args.assets), LOOK))
    with replacing(args.out) as partial:
        partial.write_bytes(data)
    print(f"{args.out}: {len(data) / 1e6:.2f} MB")


def vrm(person: Person) -> bytes:
    """Return a person's head as the bytes of a VRM file."""
    glb = Glb()
    bones, scale = _bones(glb), METRE
    parts = {part.name: (part, _mesh(person, part)) for part in person.parts}
    neutral = {name: mesh.surface(person.neutral[name]) for name, (_, mesh) in parts.items()}
    moved = {unit: person.express({unit: 1.0}) for unit in FACE_UNITS}
    lift = _lift(person)
    primitives = []
    for name, (part, mesh) in parts.items():
        points, normals = neutral[name]
        shown = _collared(person, mesh, points) if name == "shirt" else points
        head = np.clip(mesh.attribute(person.rigidity[name]), 0, 1)
        weights = np.zeros((len(points), 4), np.uint8)
        weights[:, 1] = np.round(255 * head)
        weights[:, 0] = 255 - weights[:, 1]
        joints = np.tile(np.array([0, 1, 0, 0], np.uint8), (len(points), 1))
        targets = [
            {"POSITION": glb.sparse((mesh.surface(moved[unit][name])[0] - points) * np.float32(scale), LEAST)}
            for unit in FACE_UNITS
        ]
        attributes = {
            "POSITION": glb.accessor((shown * scale + lift).astype(np.float32), bounds=True),
            "NORMAL": glb.accessor(normals),
            "TEXCOORD_0": glb.accessor((mesh.uvs * [1, -1] + [0, 1]).astype(np.float32)),
            "JOINTS_0": glb.accessor(joints),
            "WEIGHTS_0": glb.accessor(weights, normalized=True),
        }
        primitives.append(
            {
                "attributes": attributes,
                "indices": glb.accessor(mesh.triangles.astype(np.uint16).ravel()),
                "material": _material(glb, part),
                "targets": targets,
            }
        )
    node = _scene(glb, bones, primitives)
    glb.document["extensionsUsed"] = ["VRMC_vrm"]
    glb.document["extensions"] = {"VRMC_vrm": _about(bones, node)}
    return glb.file()


def _mesh(person: Person, part: Part) -> DrawMesh:
    """Return the mesh of a part: skin and shirt without subdivision and only near the head; only the front teeth."""
    rig = person.rig
    if part.name == "teeth":
        fit, _ = rig.proxy(rig.teeth_path(person.look))
        whole, depth = read_obj(fit.obj_file), person.neutral["teeth"][:, 2]
        front = depth[whole.faces[:, :, 0]].mean(1) > depth.max() - FRONT_TEETH
        return DrawMesh(len(depth), whole.faces[front], whole.uvs)
    if part.name not in ("skin", "shirt"):
        return part.mesh
    faces = rig.base.groups["body" if part.name == "skin" else "helper-tights"]
    height = rig.base.vertices[faces[:, :, 0], 1].mean(1)
    if part.name == "skin":
        return DrawMesh(len(rig.base.vertices), faces[height > rig.eye_height - BELOW_EYES], rig.base.uvs)
    kept = (height > rig.eye_height - SHIRT_BELOW_EYES) & (person.neckline[faces[:, :, 0]].max(1) > 0)
    return DrawMesh(len(rig.base.vertices), faces[kept], rig.base.uvs)


def _collared(person: Person, mesh: DrawMesh, points: Array) -> Array:
    """Return a shirt's points, with those above its neckline moved down to it."""
    above = np.minimum(mesh.attribute(person.neckline), 0)
    return np.asarray(points + above[:, None] * np.array([0, 1, 0], np.float32), np.float32)


def _lift(person: Person) -> Array:
    """Return the head's translation that puts the neck's joint at its bone."""
    return np.array([0.0, 1.5, 0.0]) - person.neck * METRE


def _bones(glb: Glb) -> dict[str, int]:
    """Add the nodes of the bones; return their numbers by name."""
    nodes: list[Json] = glb.document.setdefault("nodes", [])
    numbers: dict[str, int] = {}
    for name, parent, place in BONES:
        numbers[name] = len(nodes)
        nodes.append({"name": name, "translation": list(place)})
        if parent is not None:
            nodes[numbers[parent]].setdefault("children", []).append(numbers[name])
    return numbers


def _scene(glb: Glb, bones: dict[str, int], primitives: list[Json]) -> int:
    """Add mesh, skin and scene; return the node of the mesh."""
    document = glb.document
    document["meshes"] = [{"primitives": primitives, "extras": {"targetNames": list(FACE_UNITS)}}]
    inverse = np.tile(np.eye(4, dtype=np.float32).ravel(), (2, 1))  # column-major
    inverse[:, 13] = [-1.45, -1.5]  # neck and head
    joints = [bones["neck"], bones["head"]]
    document["skins"] = [{"joints": joints, "inverseBindMatrices": glb.accessor(inverse)}]
    document["nodes"].append({"name": "face", "mesh": 0, "skin": 0})
    node = len(document["nodes"]) - 1
    document |= {"scene": 0, "scenes": [{"nodes": [bones["hips"], node]}]}
    return node


def _material(glb: Glb, part: Part) -> int:
    """Add a part's material; return its number."""
    colour = [*np.clip(part.tint, 0, 1).tolist(), 1.0]
    surface: Json = {"baseColorFactor": colour, "metallicFactor": 0.0, "roughnessFactor": 0.65}
    found: Json = {"name": part.name, "pbrMetallicRoughness": surface}
    if part.texture is not None:
        surface["baseColorTexture"] = {"index": _texture(glb, part)}
    if part.name in CUT_OUT:
        found |= {"alphaMode": CUT_OUT[part.name], "doubleSided": True}
    return glb.add("materials", found)


def _texture(glb: Glb, part: Part) -> int:
    picture = cv2.imread(str(part.texture), cv2.IMREAD_UNCHANGED)
    assert picture is not None  # its existence was checked before
    side = SKIN_PIXELS if part.name == "skin" else OTHER_PIXELS
    small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    if part.name in CUT_OUT:
        return glb.image(cv2.imencode(".png", small, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes(), "image/png")
    return glb.image(cv2.imencode(".jpg", small[..., :3], [cv2.IMWRITE_JPEG_QUALITY, 82])[1].tobytes(), "image/jpeg")


def _about(bones: dict[str, int], node: int) -> Json:
    def expression(weights: dict[str, float]) -> Json:
        binds = [{"node": node, "index": FACE_UNITS.index(unit), "weight": w} for unit, w in weights.items()]
        return {"morphTargetBinds": binds, "isBinary": False}

    return {
        "specVersion": "1.0",
        "meta": {
            "name": "A head",
            "version": "1",
            "authors": ["avatar-streamer, of MakeHuman's CC0 data"],
            "licenseUrl": "https://vrm.dev/licenses/1.0/",
            "otherLicenseUrl": "https://creativecommons.org/publicdomain/zero/1.0/",
            "avatarPermission": "everyone",
            "commercialUsage": "corporation",
            "modification": "allowModificationRedistribution",
            "allowRedistribution": True,
            "creditNotation": "unnecessary",
        },
        "humanoid": {"humanBones": {name: {"node": number} for name, number in bones.items()}},
        "expressions": {
            "preset": {name: expression(weights) for name, weights in PRESETS.items()},
            "custom": {unit: expression({unit: 1.0}) for unit in FACE_UNITS},
        },
    }


if __name__ == "__main__":
    main()
