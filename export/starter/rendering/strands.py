"""Simulate hair strands: grown from the scalp, combed, bent by gravity, and kept outside head and shoulders.

A strand is a line of points; the renderer gives it thickness. Strands of a clump stay together, as in real hair.
Lengths are decimetres, as in `rig`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from export.starter.rendering.meshio import Floats, Ints

CAP = 0.3  # skin within this distance of the asset's hair is scalp
RAGGED = 0.03  # irregularity of the hairline
THIN = 0.07  # width of the zone of thinner hair at the hairline
SHORTEST = 0.16  # length at the hairline relative to the full length, for faded hair
# No strand hangs in front of the face or the throat: half widths, heights above the eyes and depths behind them.
FACE, THROAT = (0.6, 0.36, 0.1), (0.5, -0.7, 0.8)


@dataclass(frozen=True)
class Cut:
    """Parameters of a hair style.

    length: of a strand; steps: points along it; parting: x of the parting from the middle; lift: distance from the
    scalp; fall: rate of turning downwards, 1/decimetre (0: it stands); comb: strength of combing, to the sides; back:
    its backward part; curl: radius and turns per decimetre of coils; clumps: their number; spread: of the strands of a
    clump; width: radius of a strand; melanin: darkness and redness, 0..1; hairline: its height above the eyes at the
    forehead, the distance behind them at which it starts to fall, and its slope there; fade: distance from the hairline
    at which strands reach their full length (0: at once); dye: linear RGB instead of melanin.
    """

    count: int
    length: float
    steps: int
    parting: float = 0.0
    lift: float = 0.03
    fall: float = 0.0
    comb: float = 1.0
    back: float = 0.55
    curl: tuple[float, float] = (0.0, 0.0)
    clumps: int = 400
    spread: float = 0.03
    width: float = 0.0015
    melanin: tuple[float, float] = (0.9, 0.3)
    hairline: tuple[float, float, float] = (0.66, 0.42, 0.62)
    fade: float = 0.0
    dye: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Surface:
    """Surface under the hair: points [n, 3] with unit normals, and triangles."""

    points: Floats
    normals: Floats
    triangles: Ints


def grow(head: Surface, around: Floats, cap: Floats, cut: Cut, eyes: Floats, seed: int) -> Floats:
    """Grow strands [n, steps, 3], n up to cut.count.

    head: the skin; around: other points to keep the hair off, [m, 3]; cap: points of the asset's hair, which mark the
    scalp; eyes: the point between the eyes.
    """
    rng = np.random.default_rng(seed)
    roots, normals, within = _roots(head, cap, cut, eyes, rng)
    clump = rng.integers(len(roots), size=min(cut.clumps, len(roots)))
    leader = clump[cKDTree(roots[clump]).query(roots)[1]]
    strands = _combed(roots, normals, within, head, around, cut, eyes, rng)
    along = np.linspace(0, 1, cut.steps)[None, :, None]
    # Towards the tips, strands approach their clump's leader.
    together = strands[leader] + (roots - roots[leader])[:, None] * (1 - 0.55 * along)
    strands = strands * (1 - 0.6 * along) + together * 0.6 * along
    strands += cut.spread * rng.normal(size=(len(roots), 1, 3)) * along
    strands += 0.3 * cut.spread * np.cumsum(rng.normal(size=strands.shape), 1) / np.sqrt(cut.steps)
    strands += _coils(strands, cut, rng)
    return np.asarray(strands[~_hides_face(strands - eyes)])


def _combed(
    roots: Floats,
    normals: Floats,
    within: Floats,
    head: Surface,
    around: Floats,
    cut: Cut,
    eyes: Floats,
    rng: np.random.Generator,
) -> Floats:
    """Grow strands [n, steps, 3] along combing and gravity, outside head and shoulders."""
    tree, shoulders = cKDTree(head.points), cKDTree(around)
    share = np.clip(SHORTEST + within / cut.fade, 0, 1) if cut.fade else np.ones(len(roots))
    step = (share * cut.length / (cut.steps - 1))[:, None]
    layer = cut.lift * rng.uniform(0.4, 1.6, len(roots)) * np.clip(within / 0.2, 0.15, 1)
    place, way = roots.copy(), normals + 0.0
    side = np.sign(roots[:, 0] - eyes[0] - cut.parting + 1e-9)
    line = [place]
    comb = np.stack([side, np.full(len(roots), -0.25), np.full(len(roots), -cut.back)], 1)
    for k in range(1, cut.steps):
        fallen = 1 - np.exp(-cut.fall * k * step)
        near = tree.query(place)[1]
        out = head.normals[near]
        wanted = (1 - fallen) * (cut.comb * comb + (0.5 if k == 1 else 0.1) * normals) + fallen * np.array([0, -1, 0])
        wanted -= (wanted * out).sum(1, keepdims=True).clip(max=0) * out  # along the head, not into it
        way = _unit(0.45 * way + 0.55 * wanted)
        place = _kept_off(place + step * way, head, tree, layer)
        away, other = shoulders.query(place)
        close = np.maximum(layer * 0.8 - away, 0)[:, None]
        place = place + close * _unit(place - around[other])
        line.append(place)
    return np.stack(line, 1)


def _hides_face(away: Floats) -> NDArray[np.bool_]:
    """Return which strands [n, steps, 3], relative to the eyes, hang in front of the face or the throat."""
    hidden = np.zeros(len(away), bool)
    for width, height, depth in (FACE, THROAT):
        before = (np.abs(away[..., 0]) < width) & (away[..., 1] < height) & (away[..., 2] > -depth)
        hidden |= before.any(1)
    return hidden


def within_hairline(points: Floats, cap: Floats, cut: Cut, eyes: Floats) -> Floats:
    """Return the distance of skin points behind the hairline, [n]: negative on the face and the neck."""
    height, temple, falls = cut.hairline
    x = points[:, 0] - eyes[0]
    behind, above = eyes[2] - points[:, 2], points[:, 1] - eyes[1]
    ragged = RAGGED * (np.sin(31 * x + 3 * behind) + np.sin(57 * x + 17 * behind + 1) + np.sin(23 * behind + 2)) / 3
    line = height - falls * np.maximum(behind - temple, 0) + ragged
    return np.minimum(above - line, 4 * (CAP - cKDTree(cap).query(points)[0]))


def _roots(
    head: Surface, cap: Floats, cut: Cut, eyes: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Draw roots; return them, their normals, and their distances behind the hairline."""
    corners = head.points[head.triangles]
    within = within_hairline(corners.mean(1), cap, cut, eyes)
    scalp = within > 0
    corners, normals, within = corners[scalp], head.normals[head.triangles[scalp]], within[scalp]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    density = area * np.clip(within / THIN, 0.1, 1)
    chosen = rng.choice(len(corners), cut.count, p=density / density.sum())
    weights = rng.dirichlet((1, 1, 1), cut.count)[:, :, None]
    return (corners[chosen] * weights).sum(1), _unit((normals[chosen] * weights).sum(1)), within[chosen]


def _kept_off(place: Floats, head: Surface, tree: cKDTree, layer: Floats) -> Floats:
    """Move points to a distance of at least `layer` from the head's surface."""
    near = tree.query(place)[1]
    depth = ((place - head.points[near]) * head.normals[near]).sum(1)
    return np.asarray(place + np.maximum(layer - depth, 0)[:, None] * head.normals[near])


def _coils(strands: Floats, cut: Cut, rng: np.random.Generator) -> Floats:
    radius, turns = cut.curl
    if not radius:
        return np.zeros_like(strands)
    along = np.linspace(0, cut.length, cut.steps)[None] * turns * 2 * np.pi
    phase = along * rng.uniform(0.7, 1.3, (len(strands), 1)) + rng.uniform(0, 2 * np.pi, (len(strands), 1))
    grows = np.minimum(np.linspace(0, 3, cut.steps), 1)[None] * radius
    way = _unit(strands[:, -1] - strands[:, 0])
    across = _unit(np.cross(way, rng.normal(size=way.shape)))
    other = np.cross(way, across)
    return np.asarray(
        (grows * np.cos(phase))[..., None] * across[:, None] + (grows * np.sin(phase))[..., None] * other[:, None]
    )


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-9))
