"""The rungs of the ladder: steps of load shedding when not every picture can be made in time."""

from __future__ import annotations

from dataclasses import dataclass

EXTRA_DELAYS_MS = (80, 160, 240, 320, 400)


@dataclass(frozen=True)
class Rung:
    """One level of reduced work.

    name: for counters; told: a description for users, shown after "the processor is short of time:".
    paint_every: paint mouth and eyes in every n-th picture, and only warp the photo for those between.
    every: make one picture per n frames.
    smallest: use the smallest size for pictures whose size was not asked for.
    extra_ms: added delay of sound and pictures.
    still: make no pictures.
    dearer: approximate cost of the rung above, as a factor.
    """

    name: str
    told: str
    paint_every: int = 1
    every: int = 1
    smallest: bool = False
    extra_ms: int = 0
    still: bool = False
    dearer: float = 1.0


FULL = Rung("full", "nothing is left out")
STILL = Rung("still", "the portrait shows", every=2, smallest=True, extra_ms=EXTRA_DELAYS_MS[-1], still=True)
RUNGS = (
    FULL,
    Rung("paint", "mouth and eyes are painted in every second picture", paint_every=2, dearer=1.5),
    Rung("rate", "half as many pictures", every=2, dearer=1.4),
    Rung("size", "half as many pictures, and smaller ones", every=2, smallest=True, dearer=1.3),
    *(
        Rung("delay", f"half as many pictures, smaller and {ms} ms later", every=2, smallest=True, extra_ms=ms)
        for ms in EXTRA_DELAYS_MS
    ),
    STILL,
)
NAMES = tuple(dict.fromkeys(rung.name for rung in RUNGS))
