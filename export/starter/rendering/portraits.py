"""Renders the bundled characters' portraits with Blender's Cycles, as the PyPI module `bpy`.

    python -m export.starter.rendering.portraits --assets DIR --out engines/starter

`bpy` pins an old NumPy: give it an environment of its own (pip install bpy==4.5.* scipy pillow moderngl).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from export.starter.rendering.gl import MATERIALS, part_shade
from export.starter.rendering.people import CHARACTERS, PORTRAIT_DISTANCE, Character, portrait_camera
from export.starter.rendering.rig import Part, Person, Rig

SIZE = 256
SUPERSAMPLING = 2
SAMPLES = 64
ROUGHNESS = {"skin": 0.48, "eyes": 0.08, "teeth": 0.25, "tongue": 0.3, "hair": 0.5, "shirt": 0.9}
KEY = ((-4.0, 3.5, 8.0), 620.0, 3.0)  # position from the head, watts, size
FILL = ((6.0, 0.5, 6.0), 260.0, 5.0)
RIM = ((2.5, 4.0, -6.0), 420.0, 2.5)
NECKLINE = "below_neckline"
BACKDROP_DEPTH = 5.0  # decimetres behind the head


def render(rig: Rig, character: Character, path: Path) -> None:
    """Render one portrait of SIZE pixels to `path` (.png)."""
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    person = Person(rig, character.look)
    posed = person.express(character.expression)
    for part in person.parts:
        _add_part(bpy, scene, person, part, posed)
    camera = portrait_camera(person)
    _add_backdrop(bpy, scene, camera.centre, character.background)
    _add_camera(bpy, scene, camera.centre, 2 * float(np.arctan(camera.half_extent / camera.distance)))
    for light in (KEY, FILL, RIM):
        _add_light(bpy, scene, person.eyes, *light)
    _render(bpy, scene, path)


def _add_part(bpy: Any, scene: Any, person: Person, part: Part, posed: dict[str, Any]) -> None:
    points, normals = part.mesh.surface(posed[part.name])
    triangles = part.mesh.triangles
    mesh = bpy.data.meshes.new(part.name)
    mesh.from_pydata(points.tolist(), [], triangles.tolist())
    mesh.uv_layers.new().data.foreach_set("uv", part.mesh.uvs[triangles.ravel()].ravel())
    mesh.polygons.foreach_set("use_smooth", [True] * len(mesh.polygons))
    mesh.normals_split_custom_set_from_vertices(normals.tolist())
    mesh.materials.append(_material(bpy, part))
    if part.name == "shirt":
        below = mesh.attributes.new(NECKLINE, "FLOAT", "POINT")
        below.data.foreach_set("value", part_shade(person, part.name, part.mesh))
    scene.collection.objects.link(bpy.data.objects.new(part.name, mesh))


def _material(bpy: Any, part: Part) -> Any:
    material = bpy.data.materials.new(part.name)
    material.use_nodes = True
    tree = material.node_tree
    shader = tree.nodes["Principled BSDF"]
    shader.inputs["Roughness"].default_value = ROUGHNESS.get(part.name, 0.6)
    colour = (*part.tint, 1.0)
    if part.texture is None:
        shader.inputs["Base Color"].default_value = colour
    else:
        picture = tree.nodes.new("ShaderNodeTexImage")
        picture.image = bpy.data.images.load(str(part.texture.resolve()), check_existing=True)
        mix = tree.nodes.new("ShaderNodeMix")
        mix.data_type, mix.blend_type = "RGBA", "MULTIPLY"
        mix.inputs[0].default_value = 1.0
        mix.inputs[7].default_value = colour
        tree.links.new(picture.outputs[0], mix.inputs[6])
        tree.links.new(mix.outputs[2], shader.inputs["Base Color"])
        if MATERIALS[part.name].blended:
            tree.links.new(picture.outputs[1], shader.inputs["Alpha"])
    if part.name == "shirt":
        _cut_neckline(tree, shader)
    if part.name == "skin":
        shader.inputs["Subsurface Weight"].default_value = 1.0
        shader.inputs["Subsurface Radius"].default_value = (0.10, 0.035, 0.02)
        shader.inputs["Subsurface Scale"].default_value = 0.5
    return material


def _cut_neckline(tree: Any, shader: Any) -> None:
    """Leave out what lies above the neckline, to the pixel."""
    below = tree.nodes.new("ShaderNodeAttribute")
    below.attribute_name = NECKLINE
    cut = tree.nodes.new("ShaderNodeMath")
    cut.operation = "GREATER_THAN"
    cut.inputs[1].default_value = 0.0
    tree.links.new(below.outputs["Fac"], cut.inputs[0])
    tree.links.new(cut.outputs[0], shader.inputs["Alpha"])


def _add_backdrop(bpy: Any, scene: Any, centre: Any, colour: tuple[float, float, float]) -> None:
    x, y, z = centre[0], centre[1], centre[2] - BACKDROP_DEPTH
    corners = [(x - 9, y - 9, z), (x + 9, y - 9, z), (x + 9, y + 9, z), (x - 9, y + 9, z)]
    mesh = bpy.data.meshes.new("backdrop")
    mesh.from_pydata(corners, [], [(0, 1, 2, 3)])
    material = bpy.data.materials.new("backdrop")
    material.use_nodes = True
    shader = material.node_tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = (*colour, 1.0)
    shader.inputs["Roughness"].default_value = 1.0
    mesh.materials.append(material)
    scene.collection.objects.link(bpy.data.objects.new("backdrop", mesh))


def _add_camera(bpy: Any, scene: Any, centre: Any, angle: float) -> None:
    data = bpy.data.cameras.new("camera")
    data.angle = angle
    camera = bpy.data.objects.new("camera", data)
    camera.location = centre + np.array([0, 0, PORTRAIT_DISTANCE])
    scene.collection.objects.link(camera)
    scene.camera = camera


def _add_light(bpy: Any, scene: Any, aim: Any, offset: Any, watts: float, size: float) -> None:
    import mathutils

    data = bpy.data.lights.new("light", "AREA")
    data.energy, data.size = watts, size
    light = bpy.data.objects.new("light", data)
    light.location = aim + np.array(offset)
    towards = mathutils.Vector(aim) - mathutils.Vector(light.location)
    light.rotation_euler = towards.to_track_quat("-Z", "Y").to_euler()
    scene.collection.objects.link(light)


def _render(bpy: Any, scene: Any, path: Path) -> None:
    from PIL import Image

    world = bpy.data.worlds.new("world")
    scene.world = world
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs[0].default_value = (0.42, 0.44, 0.47, 1)
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = SAMPLES
    scene.cycles.use_denoising = True
    scene.view_settings.view_transform = "AgX"
    scene.view_settings.look = "AgX - Medium High Contrast"
    scene.render.image_settings.file_format = "PNG"
    scene.render.resolution_x = scene.render.resolution_y = SIZE * SUPERSAMPLING
    path.parent.mkdir(parents=True, exist_ok=True)
    large = path.with_name("portrait-large.png")
    scene.render.filepath = str(large)
    bpy.ops.render.render(write_still=True)
    temporary = path.with_suffix(".partial")
    Image.open(large).convert("RGB").resize((SIZE, SIZE), Image.Resampling.LANCZOS).save(temporary, "PNG")
    large.unlink()
    temporary.replace(path)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--assets", type=Path, required=True, help="folder of MakeHuman's CC0 assets")
    parser.add_argument("--out", type=Path, required=True, help="the family's folder")
    parser.add_argument("--only", choices=[character.name for character in CHARACTERS])
    args = parser.parse_args()
    rig = Rig(args.assets)
    for character in CHARACTERS:
        if args.only in (None, character.name):
            render(rig, character, args.out / "avatars" / character.name / "portrait.png")
            print(f"rendered {character.title}", flush=True)


if __name__ == "__main__":
    main()
