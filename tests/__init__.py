"""Tests, in the same folders as what they test; `fakes`, `families`, `e2e` and `measure` beside them."""

import os
from pathlib import Path

# Before numpy is loaded: tests run beside each other, and OpenBLAS's threads wait for each other by spinning.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

ROOT = Path(__file__).parents[1]  # of the repository
DATA = ROOT / "tests" / "data"
