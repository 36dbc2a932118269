"""Distil one avatar of a heavy family into a small generator that runs live on a CPU."""

from pathlib import Path

BUILT, WORK = Path("engines/built"), Path("build/distil")  # default folders of students and of their training pictures
