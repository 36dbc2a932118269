"""Tests, in the same folders as what they test; `fakes`, `families`, `e2e` and `measure` beside them."""

from pathlib import Path

ROOT = Path(__file__).parents[1]  # of the repository
DATA = ROOT / "tests" / "data"
