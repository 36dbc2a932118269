"""Headless OpenGL renderer of posed persons (moderngl over EGL; Mesa's llvmpipe on machines without a GPU)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import moderngl
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from export.starter.rendering import shaders
from export.starter.rendering.meshio import Floats
from export.starter.rendering.parts import PART_NUMBERS
from export.starter.rendering.rig import Person
from export.starter.rendering.subdivision import DrawMesh

SUPERSAMPLING = 2
SHADOW_SIZE = 1024
SHADOW_RADIUS = 2.2  # decimetres around the head
MAX_TEXTURE = 2048
# Light inside the mouth, as a share of that in front of it: hand-chosen after photographs of open mouths.
GUM_SHADE = 0.3  # gums and palate are in the lips' shadow
TONGUE_SHADE = 0.5  # at its tip
LOWER_TEETH_SHADE = 0.62  # light comes from above, past the upper row
MOUTH_DARKNESS = {"teeth": 6.5, "tongue": 12.0}  # per decimetre behind the front teeth
HARD_ALPHA = 0.55  # texels above it are opaque: drawn first, with depth and motion

Frame = NDArray[np.uint8]


@dataclass(frozen=True)
class Camera:
    """A camera on the z axis in front of `centre`, where the picture's half width is `half_extent` decimetres."""

    centre: Floats
    distance: float
    half_extent: float

    @property
    def eye(self) -> Floats:
        """Position of the camera."""
        return self.centre + np.array([0.0, 0.0, self.distance])

    @property
    def matrix(self) -> Floats:
        """Matrix from world to clip coordinates, [4, 4]."""
        focal = self.distance / self.half_extent
        near, far = self.distance - 4, self.distance + 6
        projection = np.zeros((4, 4))
        projection[0, 0] = projection[1, 1] = focal
        projection[2, 2], projection[2, 3] = -(far + near) / (far - near), -2 * far * near / (far - near)
        projection[3, 2] = -1
        view = np.eye(4)
        view[:3, 3] = -self.eye
        return np.asarray(projection @ view)

    def to_picture(self, points: Floats) -> Floats:
        """Transform world points [n, 3] to picture space: x right, y down, z to the viewer, in half picture widths."""
        return np.asarray((points - self.centre) / self.half_extent * np.array([1.0, -1.0, 1.0]))


@dataclass(frozen=True)
class Light:
    """A key light, ambient light from sky and ground, a rim light; colours are linear RGB."""

    key_direction: Floats
    key: Floats
    sky: Floats
    ground: Floats
    rim_direction: Floats
    rim: Floats


@dataclass(frozen=True)
class Material:
    """Shader settings of a part. Blended parts have soft edges (hair, brows, lashes, the eye's cornea)."""

    specular: float = 0.1
    gloss: float = 20.0
    subsurface: float = 0.0
    blended: bool = False
    in_mouth: bool = False
    casts_shadow: bool = True


MATERIALS = {
    "skin": Material(0.22, 18, 1.0),
    "shirt": Material(0.03),
    "eyes": Material(0.9, 120, blended=True, casts_shadow=False),
    "teeth": Material(0.4, 60, in_mouth=True, casts_shadow=False),
    "tongue": Material(0.3, 40, in_mouth=True, casts_shadow=False),
    "brows": Material(0.02, blended=True, casts_shadow=False),
    "lashes": Material(0.0, blended=True, casts_shadow=False),
    "hair": Material(0.12, 25, blended=True),
}


def part_shade(person: Person, name: str, mesh: DrawMesh) -> NDArray[np.float32]:
    """Return the shader's per-row value: share of light that reaches the mouth, or distance below the neckline."""
    if name == "skin":
        return np.clip(mesh.attribute(person.rig.mouth_shade), 0, 1)
    if name == "shirt":
        return mesh.attribute(person.neckline)
    if name in {"teeth", "tongue"}:
        points = person.neutral[name]
        fall = np.exp(-MOUTH_DARKNESS[name] * np.maximum(points[:, 2].max() - 0.08 - points[:, 2], 0))
        if name == "tongue":
            return mesh.attribute(TONGUE_SHADE * fall)
        fall = np.where(points[:, 1] < np.median(points[:, 1]), LOWER_TEETH_SHADE * fall, fall)
        gums = person.rig.loose_parts(person.rig.teeth_path(person.look)) == 0
        return mesh.attribute(np.where(gums, GUM_SHADE * fall, fall))
    return np.ones(len(mesh.rows), np.float32)


class Renderer:
    """Draws persons into square pictures. One per process: it owns an OpenGL context."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._side = size * SUPERSAMPLING
        self._context: Any = moderngl.create_context(standalone=True, backend="egl")  # type: ignore[arg-type]
        gl = self._context
        self._program = gl.program(vertex_shader=shaders.VERTEX, fragment_shader=shaders.FRAGMENT)
        self._shadow_program = gl.program(vertex_shader=shaders.SHADOW_VERTEX, fragment_shader=shaders.SHADOW_FRAGMENT)
        shape = (self._side, self._side)
        targets = [gl.texture(shape, 4), gl.texture(shape, 4, dtype="f4")]
        self._target = gl.framebuffer(targets, gl.depth_texture(shape))
        self._shadow_map = gl.depth_texture((SHADOW_SIZE, SHADOW_SIZE))
        self._shadow_map.compare_func = ""
        self._shadow_target = gl.framebuffer([], self._shadow_map)
        self._textures: dict[Path, Any] = {}
        self._meshes: dict[int, tuple[Any, Any, Any]] = {}

    def draw(
        self,
        person: Person,
        posed: dict[str, Floats],
        source: dict[str, Floats],
        camera: Camera,
        light: Light,
        background: NDArray[np.float32],
    ) -> tuple[Frame, NDArray[np.float32]]:
        """Draw `posed` control points over `background` [2S, 2S, 3] (0..255).

        Returns the picture [S, S, 3] and, at twice its resolution, motion [2S, 2S, 4]: where each surface point lies in
        the `source` pose minus here (clip units, y up), the part number (0: background) and the depth.
        """
        for part in person.parts:
            self._upload(person, part.name, part.mesh, posed[part.name], source[part.name])
        to_light = _light_matrix(light.key_direction, person.eyes)
        self._draw_shadows(person, to_light)
        self._set_scene(camera, light, to_light)
        gl = self._context
        self._target.use()
        gl.viewport = (0, 0, self._side, self._side)
        self._target.clear(0, 0, 0, 0, depth=1.0)
        self._draw_parts(person, soft=False)
        gl.enable(moderngl.BLEND)
        gl.blend_func = (moderngl.SRC_ALPHA, moderngl.ONE_MINUS_SRC_ALPHA, moderngl.ONE, moderngl.ONE_MINUS_SRC_ALPHA)
        self._target.depth_mask = False
        self._target.color_mask = ((True,) * 4, (False,) * 4)  # type: ignore[assignment]
        self._draw_parts(person, soft=True)
        gl.disable(moderngl.BLEND)
        self._target.depth_mask = True
        self._target.color_mask = ((True,) * 4, (True,) * 4)  # type: ignore[assignment]
        return self._read(background)

    def _upload(self, person: Person, name: str, mesh: DrawMesh, posed: Floats, source: Floats) -> None:
        points, normals = mesh.surface(posed)
        origin = mesh.surface(source)[0]
        shade = part_shade(person, name, mesh)[:, None]
        rows = np.concatenate([points, normals, mesh.uvs, origin, shade], 1).astype("f4").tobytes()
        if id(mesh) in self._meshes:
            self._meshes[id(mesh)][0].write(rows)
            return
        gl = self._context
        buffer, indices = gl.buffer(rows), gl.buffer(mesh.triangles.tobytes())
        layout = [(buffer, "3f 3f 2f 3f 1f", "point", "normal", "uv", "source_point", "shade")]
        drawn = gl.vertex_array(self._program, layout, indices)
        shadow = gl.vertex_array(self._shadow_program, [(buffer, "3f 36x", "point")], indices)
        self._meshes[id(mesh)] = (buffer, drawn, shadow)

    def _draw_shadows(self, person: Person, to_light: Floats) -> None:
        gl = self._context
        self._shadow_target.use()
        gl.viewport = (0, 0, SHADOW_SIZE, SHADOW_SIZE)
        self._shadow_target.clear(depth=1.0)
        gl.enable(moderngl.DEPTH_TEST)
        _set_matrix(self._shadow_program, "to_light", to_light)
        for part in person.parts:
            if MATERIALS[part.name].casts_shadow:
                self._meshes[id(part.mesh)][2].render()

    def _set_scene(self, camera: Camera, light: Light, to_light: Floats) -> None:
        program = self._program
        _set_matrix(program, "to_clip", camera.matrix)
        _set_matrix(program, "to_light", to_light)
        self._shadow_map.use(1)
        program["shadow_map"] = 1
        program["picture"] = 0
        program["eye"] = tuple(camera.eye)
        for name in ("key_direction", "key", "sky", "ground", "rim_direction", "rim"):
            program[name] = tuple(getattr(light, name))

    def _draw_parts(self, person: Person, soft: bool) -> None:
        program = self._program
        for part in person.parts:
            material = MATERIALS[part.name]
            if soft and not material.blended:
                continue
            if part.texture is not None:
                self._texture(part.texture).use(0)
            program["textured"] = float(part.texture is not None)
            program["tint"] = part.tint
            program["specular"], program["gloss"] = material.specular, material.gloss
            program["subsurface"], program["inside_mouth"] = material.subsurface, float(material.in_mouth)
            program["part"], program["cut"] = float(PART_NUMBERS[part.name]), float(part.name == "shirt")
            program["alpha_from"] = (0.02 if soft else HARD_ALPHA) if material.blended else -1.0
            program["alpha_to"] = HARD_ALPHA if soft else 2.0
            self._meshes[id(part.mesh)][1].render()

    def _texture(self, path: Path) -> Any:
        if path not in self._textures:
            image = Image.open(path).convert("RGBA").transpose(Image.Transpose.FLIP_TOP_BOTTOM)
            if image.width > MAX_TEXTURE:
                image = image.resize((MAX_TEXTURE, MAX_TEXTURE), Image.Resampling.LANCZOS)
            texture = self._context.texture(image.size, 4, image.tobytes())
            texture.build_mipmaps()
            texture.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
            self._textures[path] = texture
        return self._textures[path]

    def _read(self, background: NDArray[np.float32]) -> tuple[Frame, NDArray[np.float32]]:
        side, size = self._side, self.size
        drawn = np.frombuffer(self._target.read(components=4, attachment=0), np.uint8).reshape(side, side, 4)
        motion = np.frombuffer(self._target.read(components=4, attachment=1, dtype="f4"), np.float32)
        covered = np.ascontiguousarray(drawn[..., 3])
        picture = cv2.copyTo(drawn[..., :3], covered, background[::-1].astype(np.uint8))
        small = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)[::-1]
        return np.asarray(small, np.uint8), motion.reshape(side, side, 4)[::-1]


def _light_matrix(direction: Floats, centre: Floats) -> Floats:
    across = np.cross([0, 1, 0], direction)
    across /= np.linalg.norm(across)
    up = np.cross(direction, across)
    matrix = np.eye(4)
    matrix[0, :3], matrix[1, :3], matrix[2, :3] = across / SHADOW_RADIUS, up / SHADOW_RADIUS, -direction / 4
    matrix[:3, 3] = -matrix[:3, :3] @ centre
    return matrix


def _set_matrix(program: Any, name: str, matrix: Floats) -> None:
    program[name].write(np.ascontiguousarray(matrix.T).astype("f4").tobytes())
