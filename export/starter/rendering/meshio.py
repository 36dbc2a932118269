"""Read MakeHuman's text formats: OBJ meshes, sparse shape targets, and proxies (`.mhclo`) fitted to the mesh.

The assets are CC0; their formats are described at http://www.makehumancommunity.org/wiki/Documentation:Proxy_fitting.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

AXES = "xyz"


@dataclass(frozen=True)
class ObjMesh:
    """A quad mesh: vertices [V, 3], texture coordinates [U, 2], per group faces [F, 4, 2] of (vertex, uv) indices.

    A triangle is stored as a quad whose last corner repeats the third.
    """

    vertices: Floats
    uvs: Floats
    groups: dict[str, Ints]

    @property
    def faces(self) -> Ints:
        """Faces of all groups, [F, 4, 2]."""
        return np.concatenate(list(self.groups.values()))


@dataclass(frozen=True)
class Target:
    """A sparse displacement of the base mesh: vertex indices [n] and offsets [n, 3] in decimetres."""

    indices: Ints
    offsets: Floats

    def add_to(self, vertices: Floats, weight: float) -> None:
        """Add `weight` times this target to `vertices` [V, 3] in place."""
        vertices[self.indices] += weight * self.offsets


@dataclass(frozen=True)
class ProxyFit:
    """Attachment of each vertex of a proxy to three base vertices, see `place`."""

    references: Ints  # [n, 3]
    weights: Floats  # [n, 3]
    offsets: Floats  # [n, 3]
    scales: dict[str, tuple[int, int, float]]  # axis -> two base vertices and their distance on the standard figure
    obj_file: Path

    def place(self, vertices: Floats, neutral: Floats) -> Floats:
        """Compute positions [n, 3] on the base mesh `vertices`; offsets scale with the `neutral` figure's size."""
        scale = np.ones(3)
        for axis, (first, second, standard) in self.scales.items():
            column = AXES.index(axis)
            scale[column] = abs(neutral[first, column] - neutral[second, column]) / standard
        placed: Floats = np.einsum("nk,nkc->nc", self.weights, vertices[self.references]) + self.offsets * scale
        return placed


def read_obj(path: Path) -> ObjMesh:
    """Read vertices, texture coordinates and quads by group."""
    vertices: list[list[float]] = []
    uvs: list[list[float]] = []
    groups: dict[str, list[list[list[int]]]] = {}
    group = "default"
    for line in path.read_text(errors="replace").splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "v":
            vertices.append([float(word) for word in words[1:4]])
        elif words[0] == "vt":
            uvs.append([float(word) for word in words[1:3]])
        elif words[0] == "g":
            group = words[1]
        elif words[0] == "f":
            corners = [_corner(word) for word in words[1:5]]
            groups.setdefault(group, []).append(corners if len(corners) == 4 else [*corners, corners[2]])
    faces = {name: np.array(quads, dtype=np.int64) - 1 for name, quads in groups.items()}
    return ObjMesh(np.array(vertices), np.array(uvs), faces)


def _corner(word: str) -> list[int]:
    parts = word.split("/")
    return [int(parts[0]), int(parts[1]) if len(parts) > 1 and parts[1] else 1]


def read_target(path: Path) -> Target:
    """Read a `.target` or `.target.gz` file; an empty one moves nothing."""
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    rows = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not rows:
        return Target(np.zeros(0, np.int64), np.zeros((0, 3)))
    table = np.array(rows, dtype=np.float64)
    return Target(table[:, 0].astype(np.int64), table[:, 1:4])


def read_proxy(path: Path) -> ProxyFit:
    """Read a `.mhclo` file. A vertex line holds one base vertex, or three with weights and an offset."""
    references: list[list[int]] = []
    weights: list[list[float]] = []
    offsets: list[list[float]] = []
    scales: dict[str, tuple[int, int, float]] = {}
    obj_file = ""
    in_vertices = False
    for line in path.read_text(errors="replace").splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] == "obj_file":
            obj_file = words[1]
        elif words[0] in {"x_scale", "y_scale", "z_scale"}:
            scales[words[0][0]] = (int(words[1]), int(words[2]), float(words[3]))
        elif words[0] in {"verts", "delete_verts"}:
            in_vertices = words[0] == "verts"
        elif in_vertices and words[0].lstrip("-").isdigit():
            if len(words) == 1:
                references.append([int(words[0])] * 3)
                weights.append([1.0, 0.0, 0.0])
                offsets.append([0.0, 0.0, 0.0])
            else:
                references.append([int(word) for word in words[:3]])
                weights.append([float(word) for word in words[3:6]])
                offsets.append([float(word) for word in words[6:9]])
    return ProxyFit(np.array(references), np.array(weights), np.array(offsets), scales, path.parent / obj_file)
