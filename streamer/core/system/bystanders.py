"""How much of this machine's processors other programs take meanwhile: what is measured beside them is no measure."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

LEAST_S = 0.1  # what is shorter says nothing: the system counts in hundredths of a second


class Bystanders:
    """Counts from its making on. busy: processors that are in use, by any program, since it was asked last."""

    def __init__(self, busy: Callable[[], float] | None = None) -> None:
        self._busy = busy or _busy
        self._busy()
        self._wall, self._own = time.monotonic(), time.process_time()

    def cores(self) -> float:
        """Processors that other programs used, on the average."""
        wall, own = time.monotonic() - self._wall, time.process_time() - self._own
        return max(0.0, self._busy() - own / wall) if wall > LEAST_S else 0.0


def _busy() -> float:
    return float(psutil.cpu_percent()) / 100 * (psutil.cpu_count() or 1)
