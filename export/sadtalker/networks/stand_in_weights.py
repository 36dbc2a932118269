"""Make reproducible stand-in weights: every tensor is a function of its full name and shape.

They replace checkpoints that cannot be shipped: a reference run with them provides outputs to compare with.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

COMPUTED = "down.weight"  # the keypoint detector's fixed kernel, not a learnt weight
POWER_ITERATIONS = 10
SHAPES_OF_SCALES = 1  # largest number of dimensions of a normalisation layer's scale


def stand_in_tensor(name: str, shape: tuple[int, ...], salt: int = 0) -> Array:
    """Make the tensor `name` ("network.key"); each `salt` gives an independent set."""
    seed = [zlib.crc32(name.encode()), salt]
    normal = np.random.Generator(np.random.PCG64(seed)).standard_normal(shape)
    kind = name.rpartition(".")[2]
    if kind == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    return _distribute(kind, normal).astype(np.float32)


def _distribute(kind: str, normal: Array) -> Array:
    match kind:
        case "running_mean":
            return 0.1 * normal
        case "running_var":
            return np.asarray(np.exp(0.1 * normal))
        case "bias":
            return 0.05 * normal
        case "weight_u" | "weight_v":
            return np.asarray(normal / np.linalg.norm(normal))
    if normal.ndim <= SHAPES_OF_SCALES:
        return 1.0 + 0.1 * normal
    return np.asarray(normal * np.sqrt(2.0 / int(np.prod(normal.shape[1:]))))


def stand_in_state(network: str, shapes: Mapping[str, tuple[int, ...]], salt: int = 0) -> dict[str, Array]:
    """Make all tensors of a network but COMPUTED; spectral norm's vectors are computed from their weights."""
    state = {key: stand_in_tensor(f"{network}.{key}", shape, salt) for key, shape in shapes.items() if key != COMPUTED}
    for key in state:
        if key.endswith("weight_orig"):
            stem = key.removesuffix("weight_orig")
            vectors = _singular_vectors(state[key], state[stem + "weight_u"])
            state[stem + "weight_u"], state[stem + "weight_v"] = vectors
    return state


def _singular_vectors(weight: Array, start: Array) -> tuple[Array, Array]:
    """Approximate the weight's largest left and right singular vectors by power iterations from `start`."""
    matrix = weight.reshape(len(weight), -1).astype(np.float64)
    left = start.astype(np.float64)
    for _ in range(POWER_ITERATIONS):
        right = matrix.T @ left
        right /= np.linalg.norm(right)
        left = matrix @ right
        left /= np.linalg.norm(left)
    return left.astype(np.float32), right.astype(np.float32)
