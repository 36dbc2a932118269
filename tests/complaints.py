"""What a program wrote to standard error, for tests that run beside other work."""

from __future__ import annotations

from streamer.core.rungs import RUNGS

HASTE = ("short of time", "there is time for every picture", *(rung.told for rung in RUNGS))


def faults(complaints: str) -> list[str]:
    """The lines but those that a busy machine causes, of what is left out and of what is not any more."""
    return [line for line in complaints.splitlines() if not any(part in line for part in HASTE)]
