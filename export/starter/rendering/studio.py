"""The studio of the bundled characters' portraits: camera, lights, backdrop, and rendering with Cycles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from export.starter.rendering.gl import Camera
from export.starter.rendering.meshio import Floats

# Lights: position relative to the eyes in decimetres, watts, size, linear RGB, whether eyes and skin reflect it.
LIGHTS = (
    ((-4.5, 3.4, 7.5), 560.0, 3.2, (1.0, 0.95, 0.88), True),  # key
    ((6.0, 0.5, 6.5), 240.0, 6.0, (0.92, 0.96, 1.0), False),  # fill
    ((0.0, -4.0, 6.0), 70.0, 4.0, (1.0, 0.93, 0.86), False),  # from below, like the reflection of a desk
    ((3.5, 3.5, -5.5), 150.0, 3.5, (1.0, 0.97, 0.92), True),  # rim
    ((-4.0, 2.5, -5.5), 80.0, 3.5, (0.9, 0.95, 1.0), True),
)
SKY = (0.36, 0.37, 0.39)
EXPOSURE = 0.2  # stops
NOISE = 0.03  # a pixel's sampling stops below it
BOUNCES = (5, 3)  # of light: more are not visible, and strands make them expensive
VIGNETTE = 0.20  # darkening of the backdrop in the corners
GLOW = 0.16  # brightening behind the head


def photograph(bpy: Any, camera: Camera, aim: Floats, size: int, samples: int, folder: Path) -> Any:
    """Render the scene: float32 [size, size, 4], RGB and alpha in 0..255. folder: for temporary files."""
    from PIL import Image

    scene = bpy.context.scene
    _add_camera(bpy, scene, camera)
    for light in LIGHTS:
        _add_light(bpy, scene, aim, *light)
    scene.world = bpy.data.worlds.new("world")
    scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs[0].default_value = (*SKY, 1)
    scene.render.engine = "CYCLES"
    scene.render.film_transparent = True
    scene.cycles.device = "CPU"
    scene.cycles.samples = samples
    scene.cycles.adaptive_threshold = NOISE
    scene.cycles.use_denoising = True
    scene.cycles.max_bounces, scene.cycles.transmission_bounces = BOUNCES
    scene.cycles.diffuse_bounces, scene.cycles.glossy_bounces = BOUNCES[1], BOUNCES[0]
    scene.view_settings.view_transform = "AgX"
    scene.view_settings.look = "AgX - Medium High Contrast"
    scene.view_settings.exposure = EXPOSURE
    scene.render.image_settings.file_format, scene.render.image_settings.color_mode = "PNG", "RGBA"
    scene.render.resolution_x = scene.render.resolution_y = size
    path = folder / "drawn.png"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    return np.asarray(Image.open(path).convert("RGBA"), np.float32)


def backdrop(colour: tuple[float, float, float], size: int) -> Any:
    """Make a paper backdrop: bright behind the head, darker in the corners; [size, size, 3] in 0..255."""
    y, x = np.mgrid[:size, :size] / size * 2 - 1
    away = x**2 + (y + 0.15) ** 2
    light = 1 + GLOW * np.exp(-1.6 * away) - VIGNETTE * 0.5 * away
    return light[..., None] * np.array(colour) * 255


def _add_camera(bpy: Any, scene: Any, camera: Camera) -> None:
    data = bpy.data.cameras.new("camera")
    data.angle = 2 * float(np.arctan(camera.half_extent / camera.distance))
    taker = bpy.data.objects.new("camera", data)
    taker.location = camera.eye
    scene.collection.objects.link(taker)
    scene.camera = taker


def _add_light(
    bpy: Any,
    scene: Any,
    aim: Floats,
    offset: tuple[float, float, float],
    watts: float,
    size: float,
    colour: tuple[float, float, float],
    mirrored: bool,
) -> None:
    import mathutils

    data = bpy.data.lights.new("light", "AREA")
    data.energy, data.size, data.color = watts, size, colour
    light = bpy.data.objects.new("light", data)
    light.location = aim + np.array(offset)
    light.visible_glossy = mirrored
    towards = mathutils.Vector(aim) - mathutils.Vector(light.location)
    light.rotation_euler = towards.to_track_quat("-Z", "Y").to_euler()
    scene.collection.objects.link(light)
