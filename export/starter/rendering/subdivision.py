"""Catmull-Clark subdivision as sparse matrices, so that a pose costs one multiplication (Catmull and Clark, 1978)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Ints = NDArray[np.int64]
Floats32 = NDArray[np.float32]


@dataclass(frozen=True)
class _Edges:
    """Unique edges [E, 2], the edge of each side of each face [4, F], and the number of faces at each edge [E]."""

    ends: Ints
    of_face: Ints
    faces: Ints


def _edges(faces: Ints) -> _Edges:
    sides = np.concatenate([faces[:, [k, (k + 1) % 4]] for k in range(4)])
    ends, inverse, count = np.unique(np.sort(sides, 1), axis=0, return_inverse=True, return_counts=True)
    return _Edges(ends, inverse.reshape(4, len(faces)), count)


def _split(faces: Ints, edges: _Edges, first_edge: int, first_face: int) -> Ints:
    """Split each quad into four, by its corners, edge points and face point."""
    points = edges.of_face + first_edge
    centre = np.arange(len(faces)) + first_face
    quads = [np.stack([faces[:, k], points[k], centre, points[(k + 3) % 4]], 1) for k in range(4)]
    return np.concatenate(quads)


def _incidence(rows: Ints, columns: Ints, shape: tuple[int, int], value: float = 1.0) -> sparse.csr_matrix:
    return sparse.csr_matrix((np.full(len(rows), value), (rows, columns)), shape)


def smooth(count: int, faces: Ints) -> tuple[sparse.csr_matrix, Ints]:
    """Subdivide quads [F, 4] over `count` vertices once: the matrix [new, count] and the new quads.

    Borders follow the cubic B-spline boundary rule, so that an open neckline stays where it is.
    """
    edges = _edges(faces)
    n_faces, n_edges = len(faces), len(edges.ends)
    face_of_corner = np.repeat(np.arange(n_faces), 4)
    to_face = _incidence(face_of_corner, faces.ravel(), (n_faces, count), 0.25)
    edge_rows = np.repeat(np.arange(n_edges), 2)
    to_middle = _incidence(edge_rows, edges.ends.ravel(), (n_edges, count), 0.5)
    edge_to_faces = _incidence(edges.of_face.ravel(), np.tile(np.arange(n_faces), 4), (n_edges, n_faces))
    inner = edges.faces == 2
    to_edge = sparse.diags(np.where(inner, 0.5, 1.0)) @ to_middle
    to_edge = to_edge + sparse.diags(np.where(inner, 0.25, 0.0)) @ edge_to_faces @ to_face

    vertex_edges = _incidence(edges.ends.ravel(), edge_rows, (count, n_edges))
    vertex_faces = _incidence(faces.ravel(), face_of_corner, (count, n_faces))
    valence = np.maximum(np.asarray(vertex_edges.sum(1)).ravel(), 1)
    around = np.maximum(np.asarray(vertex_faces.sum(1)).ravel(), 1)
    border_edges = sparse.diags((~inner).astype(float))
    border_count = np.asarray((vertex_edges @ border_edges).sum(1)).ravel()
    used = np.zeros(count, bool)
    used[faces.ravel()] = True
    on_border = (border_count > 0) & used
    inside = (border_count == 0) & used
    eye = sparse.identity(count)
    interior = sparse.diags(1 / valence) @ (
        sparse.diags(1 / around) @ vertex_faces @ to_face
        + sparse.diags(2 / valence) @ vertex_edges @ to_middle
        + sparse.diags(valence - 3) @ eye
    )
    border = 0.5 * eye + sparse.diags(0.5 / np.maximum(border_count, 1)) @ vertex_edges @ border_edges @ to_middle
    to_vertex = (
        sparse.diags(inside.astype(float)) @ interior
        + sparse.diags(on_border.astype(float)) @ border
        + sparse.diags((~used).astype(float)) @ eye
    )
    matrix = sparse.vstack([to_vertex, to_edge, to_face]).tocsr()
    return matrix, _split(faces, edges, count, count + n_edges)


def linear(count: int, faces: Ints) -> tuple[sparse.csr_matrix, Ints]:
    """Split without smoothing, for texture coordinates."""
    edges = _edges(faces)
    n_faces, n_edges = len(faces), len(edges.ends)
    matrix = sparse.vstack(
        [
            sparse.identity(count),
            _incidence(np.repeat(np.arange(n_edges), 2), edges.ends.ravel(), (n_edges, count), 0.5),
            _incidence(np.repeat(np.arange(n_faces), 4), faces.ravel(), (n_faces, count), 0.25),
        ]
    ).tocsr()
    return matrix, _split(faces, edges, count, count + n_edges)


class DrawMesh:
    """A mesh ready to draw: subdivided, one row per distinct (vertex, uv) pair, triangles, smooth normals."""

    def __init__(self, count: int, faces: Ints, uvs: NDArray[np.float64], levels: int = 0) -> None:
        """`faces` [F, 4, 2] of (vertex, uv) indices over `count` vertices; `levels` of subdivision."""
        quads, uv_quads = faces[:, :, 0], faces[:, :, 1]
        self.control_faces: Ints = quads
        shape = sparse.identity(count).tocsr()
        texture = sparse.identity(len(uvs)).tocsr()
        for _ in range(levels):
            step, quads = smooth(shape.shape[0], quads)
            uv_step, uv_quads = linear(texture.shape[0], uv_quads)
            shape, texture = step @ shape, uv_step @ texture
        self._shape = shape.astype(np.float32)
        pairs = np.stack([quads.ravel(), uv_quads.ravel()], 1)
        unique, inverse = np.unique(pairs, axis=0, return_inverse=True)
        corners = inverse.reshape(-1, 4)
        self.rows: Ints = unique[:, 0]
        self.uvs: Floats32 = (texture @ uvs)[unique[:, 1]].astype(np.float32)
        self.triangles = np.concatenate([corners[:, [0, 1, 2]], corners[:, [0, 2, 3]]]).astype(np.int32)
        self._plain = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
        total = shape.shape[0]
        self._gather = sparse.csr_matrix(
            (np.ones(self._plain.size, np.float32), (self._plain.ravel(), np.repeat(np.arange(len(self._plain)), 3))),
            (total, len(self._plain)),
        )

    def attribute(self, values: NDArray[np.float64]) -> Floats32:
        """Spread a per-vertex value [count] or [count, C] over the drawn rows."""
        return np.asarray(self._shape @ values, dtype=np.float32)[self.rows]

    def limit(self, vertices: NDArray[np.float64], chosen: Ints) -> NDArray[np.float64]:
        """Compute limit positions [n, 3] of the control vertices `chosen` [n] on the drawn surface."""
        return np.asarray(self._shape[chosen].astype(np.float64) @ vertices)

    def surface(self, vertices: NDArray[np.float64]) -> tuple[Floats32, Floats32]:
        """Compute positions and unit normals [rows, 3] for control vertices [count, 3]."""
        points = self._shape @ vertices.astype(np.float32)
        corner = points[self._plain]
        normals = self._gather @ np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
        normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9
        return points[self.rows], normals[self.rows].astype(np.float32)
