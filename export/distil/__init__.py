"""Distil one avatar of a heavy family into a small generator that runs live on a processor."""

from pathlib import Path

BUILT, WORK = Path("engines/built"), Path("build/distil")  # where students and what they learn from lie, unless told
