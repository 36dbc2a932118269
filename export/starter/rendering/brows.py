"""Brows as strands, rooted where MakeHuman's brow cards are opaque: a flat card has no hairs that catch the light."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from export.starter.rendering.meshio import Floats, Ints
from export.starter.rendering.strands import Surface

OPAQUE = 0.35  # smallest alpha of the card that counts as opaque
STEPS = 6
# Direction of strands, in degrees from outwards, at the inner end, the middle and the outer end of a brow.
SLANT = (72.0, 24.0, -16.0)


def grow_brows(
    card: Surface, uvs: Floats, alpha: NDArray[np.uint8], skin: Surface, count: int, length: float
) -> Floats:
    """Grow about `count` strands [n, STEPS, 3] of both brows, `length` decimetres long in the middle.

    card: the brows' mesh; uvs: of its points, [n, 2]; alpha: of its texture, [H, W]; skin: surface under the strands.
    """
    rng = np.random.default_rng(2)
    roots = _opaque_points(card.points, card.triangles, uvs, alpha, count, rng)
    near = cKDTree(skin.points).query(roots)[1]
    normals = skin.normals[near]
    roots = roots - 0.8 * ((roots - skin.points[near]) * normals).sum(1, keepdims=True) * normals
    outwards = np.sign(roots[:, 0])
    across = np.abs(roots[:, 0])
    inner, outer = np.percentile(across, (2, 98))
    place = np.clip((across - inner) / (outer - inner), 0, 1)
    slant = np.radians(np.interp(place, (0, 0.5, 1), SLANT) + rng.normal(0, 9, len(roots)))
    way = np.stack([outwards * np.cos(slant), np.sin(slant), np.zeros(len(roots))], 1)
    way -= (way * normals).sum(1, keepdims=True) * normals
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    reach = length * rng.uniform(0.6, 1.1, len(roots)) * np.interp(place, (0, 0.4, 1), (0.8, 1.0, 0.65))
    along = np.linspace(0, 1, STEPS)
    rise = 0.16 * along - 0.1 * along**2
    down = np.array([0.0, -0.25, 0.0]) * (along**2)[None, :, None]
    ahead = along[None, :, None] * way[:, None] + rise[None, :, None] * normals[:, None] + down
    return np.asarray(roots[:, None] + reach[:, None, None] * ahead)


def _opaque_points(
    points: Floats, triangles: Ints, uvs: Floats, alpha: NDArray[np.uint8], count: int, rng: np.random.Generator
) -> Floats:
    corners = points[triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    chosen = rng.choice(len(triangles), 8 * count, p=area / area.sum())
    weights = rng.dirichlet((1, 1, 1), len(chosen))[:, :, None]
    place = (uvs[triangles[chosen]] * weights).sum(1)
    height, width = alpha.shape
    x = (place[:, 0] * (width - 1)).round().astype(int).clip(0, width - 1)
    y = ((1 - place[:, 1]) * (height - 1)).round().astype(int).clip(0, height - 1)
    opaque = alpha[y, x] / 255
    kept = (opaque > OPAQUE) & (rng.random(len(chosen)) < opaque)
    return np.asarray((corners[chosen] * weights).sum(1)[kept][:count])
