"""Compare two arrays within a tolerance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

TOLERANCE = 1e-4  # of the wanted values' spread, for float32
HALF_TOLERANCE = 1e-3  # for arrays stored as float16
PIXEL_ROUNDING = 0.5 / 255  # absolute, for pictures stored as bytes


@dataclass(frozen=True)
class Comparison:
    """Comparison of one output of one file.

    relative: max_abs divided by the range (largest minus smallest) of the expected values.
    """

    file: str
    output: str
    max_abs: float
    relative: float
    tolerance: float
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance; NaN is not."""
        return self.relative <= self.tolerance


def compare(file: str, output: str, found: Array, wanted: Array) -> Comparison:
    """Compare `found` with `wanted`, of equal shape up to leading ones; uint8 is scaled to 0..1."""
    tolerance = HALF_TOLERANCE if wanted.dtype == np.float16 else TOLERANCE
    spread = _spread(wanted)
    if found.dtype == np.uint8 and wanted.dtype != np.uint8:
        tolerance += PIXEL_ROUNDING / spread
        found = found / 255
    if _core(found) != _core(wanted):
        note = f"shape {list(found.shape)}, expected {list(wanted.shape)}"
        return Comparison(file, output, math.inf, math.inf, tolerance, note)
    if not wanted.size:
        return Comparison(file, output, 0.0, 0.0, tolerance, "empty")
    difference = np.abs(found.astype(np.float64).reshape(wanted.shape) - wanted.astype(np.float64))
    worst = float(difference.max())  # NaN if any is
    return Comparison(file, output, worst, worst / spread, tolerance)


def _spread(wanted: Array) -> float:
    """Return the range of the values; for a constant its magnitude, so that it can be compared, too."""
    if not wanted.size:
        return 1.0
    values = wanted.astype(np.float64)
    return float(np.ptp(values)) or float(np.abs(values).max()) or 1.0


def _core(array: Array) -> tuple[int, ...]:
    """Return the shape without leading ones, so that a batch of one equals a single item."""
    shape = array.shape
    while shape and shape[0] == 1:
        shape = shape[1:]
    return shape
