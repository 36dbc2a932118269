"""The rungs of the ladder: what is left out, step by step, when there is not the time for every picture."""

from __future__ import annotations

from dataclasses import dataclass

EXTRA_DELAYS_MS = (80, 160, 240, 320, 400)


@dataclass(frozen=True)
class Rung:
    """One way of making less.

    name: for counters; told: the same for people, after "the processor is short of time:".
    paint_every: mouth and eyes are painted in every n-th picture, and the photo alone is warped for those between.
    every: there is one picture for n frames.
    smallest: pictures of a size that nobody asked for are the smallest.
    extra_ms: sound and pictures come so much later.
    still: there are no pictures at all.
    dearer: how much more time the rung above it takes, about.
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
