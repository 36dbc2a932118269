"""Tests, in the same folders as what they test; `fakes`, `families`, `e2e` and `measure` beside them."""

import os
import secrets
from pathlib import Path

# Before numpy is loaded: tests run beside each other, and OpenBLAS's threads wait for each other by spinning.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Before Ray is loaded, which reads them then: clusters of tests let nobody else in.
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("RAY_worker_niceness", "0")  # as `avatar cluster` sets it

ROOT = Path(__file__).parents[1]  # of the repository
DATA = ROOT / "tests" / "data"
