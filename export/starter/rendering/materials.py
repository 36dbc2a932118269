"""Cycles materials of the portraits: skin, eyes, cloth, hair strands. `tree` is a material's node tree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from export.starter.rendering.gl import MATERIALS
from export.starter.rendering.rig import Part

NECKLINE, SCALP = "below_neckline", "scalp"  # attributes of the meshes' points
ROUGHNESS = {"skin": 0.54, "eyes": 0.06, "teeth": 0.25, "tongue": 0.3, "hair": 0.5, "shirt": 0.9}
PORES = (170.0, 0.03)  # number per decimetre, depth
MOTTLES = (9.0, 0.10)  # blotches of redder and paler skin: number per decimetre, strength
WEAVE = 260.0  # threads of the shirt per decimetre


def part_material(bpy: Any, part: Part, scalp: tuple[float, float, float], smooth_skin: bool, folder: Path) -> Any:
    """Make the material of a part of a person.

    scalp: linear RGB of the skin under the hair; smooth_skin: as in animated films, without pores; folder: for
    generated textures.
    """
    material = bpy.data.materials.new(part.name)
    material.use_nodes = True
    tree = material.node_tree
    shader = tree.nodes["Principled BSDF"]
    shader.inputs["Roughness"].default_value = ROUGHNESS.get(part.name, 0.6)
    colour = (*part.tint, 1.0)
    if part.texture is None:
        shader.inputs["Base Color"].default_value = colour
    else:
        texture = _smoothed(part.texture, folder) if smooth_skin and part.name == "skin" else part.texture
        picture = tree.nodes.new("ShaderNodeTexImage")
        picture.image = bpy.data.images.load(str(texture.resolve()), check_existing=True)
        out = _mixed(tree, "MULTIPLY", 1.0, picture.outputs[0], colour)
        tree.links.new(out, shader.inputs["Base Color"])
        if MATERIALS[part.name].blended:
            tree.links.new(picture.outputs[1], shader.inputs["Alpha"])
        if part.name == "skin":
            _shade_skin(tree, shader, out, scalp, smooth_skin)
    if part.name == "shirt":
        _cut_neckline(tree, shader)
        _add_bumps(tree, shader, WEAVE, 0.02, 0.25)
    if part.name == "eyes":
        shader.inputs["Coat Weight"].default_value, shader.inputs["Coat Roughness"].default_value = 1.0, 0.02
    return material


def strand_material(bpy: Any, melanin: tuple[float, float], dye: tuple[float, float, float] | None) -> Any:
    """Make the material of hair, coloured by melanin and its redness, or by a dye."""
    material = bpy.data.materials.new("strands")
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    shader, output = tree.nodes.new("ShaderNodeBsdfHairPrincipled"), tree.nodes.new("ShaderNodeOutputMaterial")
    if dye is None:
        shader.parametrization = "MELANIN"
        shader.inputs["Melanin"].default_value, shader.inputs["Melanin Redness"].default_value = melanin
        shader.inputs["Random Color"].default_value = 0.2
    else:
        shader.parametrization = "COLOR"
        strand = tree.nodes.new("ShaderNodeHairInfo")
        darker = (*(0.55 * tone for tone in dye), 1.0)
        colour = _mixed(tree, "MIX", strand.outputs["Random"], (*dye, 1.0), darker)
        tree.links.new(colour, shader.inputs["Color"])
    shader.inputs["Roughness"].default_value = 0.34
    shader.inputs["Radial Roughness"].default_value = 0.55
    tree.links.new(shader.outputs[0], output.inputs[0])
    return material


def _mixed(tree: Any, blend: str, amount: Any, first: Any, second: Any) -> Any:
    """Add a node that mixes two colours, sockets or values; return its output."""
    mix = tree.nodes.new("ShaderNodeMix")
    mix.data_type, mix.blend_type = "RGBA", blend
    for place, given in ((0, amount), (6, first), (7, second)):
        if hasattr(given, "is_output"):
            tree.links.new(given, mix.inputs[place])
        else:
            mix.inputs[place].default_value = given
    return mix.outputs[2]


def _shade_skin(tree: Any, shader: Any, colour: Any, scalp: tuple[float, float, float], smooth: bool) -> None:
    shader.inputs["Subsurface Weight"].default_value = 1.0
    shader.inputs["Subsurface Radius"].default_value = (0.10, 0.035, 0.02)
    shader.inputs["Subsurface Scale"].default_value = 0.8 if smooth else 0.5
    shader.inputs["Specular IOR Level"].default_value = 0.36
    roots = tree.nodes.new("ShaderNodeAttribute")
    roots.attribute_name = SCALP
    if not smooth:
        noise, place = tree.nodes.new("ShaderNodeTexNoise"), tree.nodes.new("ShaderNodeNewGeometry")
        noise.inputs["Scale"].default_value, noise.inputs["Detail"].default_value = MOTTLES[0], 6.0
        tree.links.new(place.outputs["Position"], noise.inputs["Vector"])
        amount = tree.nodes.new("ShaderNodeMath")
        amount.operation = "MULTIPLY"
        amount.inputs[1].default_value = 2 * MOTTLES[1]
        tree.links.new(noise.outputs[0], amount.inputs[0])
        colour = _mixed(tree, "MULTIPLY", amount.outputs[0], colour, (1.0, 0.45, 0.38, 1.0))
        _add_bumps(tree, shader, *PORES, 0.35)
    tree.links.new(_mixed(tree, "MIX", roots.outputs["Fac"], colour, (*scalp, 1.0)), shader.inputs["Base Color"])


def _cut_neckline(tree: Any, shader: Any) -> None:
    """Make everything above the neckline transparent, with pixel accuracy."""
    below = tree.nodes.new("ShaderNodeAttribute")
    below.attribute_name = NECKLINE
    cut = tree.nodes.new("ShaderNodeMath")
    cut.operation = "GREATER_THAN"
    cut.inputs[1].default_value = 0.0
    tree.links.new(below.outputs["Fac"], cut.inputs[0])
    tree.links.new(cut.outputs[0], shader.inputs["Alpha"])


def _add_bumps(tree: Any, shader: Any, scale: float, depth: float, strength: float) -> None:
    """Add fine bumps to a surface: a face without pores looks like wax."""
    noise, bump = tree.nodes.new("ShaderNodeTexNoise"), tree.nodes.new("ShaderNodeBump")
    place = tree.nodes.new("ShaderNodeNewGeometry")
    noise.inputs["Scale"].default_value, bump.inputs["Strength"].default_value = scale, strength
    bump.inputs["Distance"].default_value = depth
    tree.links.new(place.outputs["Position"], noise.inputs["Vector"])
    tree.links.new(noise.outputs[0], bump.inputs["Height"])
    tree.links.new(bump.outputs["Normal"], shader.inputs["Normal"])


def _smoothed(texture: Path, folder: Path) -> Path:
    """Write a skin texture without blemishes and with warmer colours; return its path."""
    import cv2
    from PIL import Image

    picture = np.asarray(Image.open(texture).convert("RGB"), np.float32) / 255
    smooth = cv2.GaussianBlur(cv2.medianBlur((picture * 255).astype(np.uint8), 5), (0, 0), 2.2).astype(np.float32) / 255
    grey = smooth.mean(2, keepdims=True)
    warm = np.clip((grey + 1.2 * (smooth - grey)) * np.array([1.04, 1.0, 0.96], np.float32), 0, 1)
    path = folder / f"{texture.stem}-smooth.png"
    Image.fromarray((warm * 255).astype(np.uint8)).save(path)
    return path
