"""Measure the processor time that other programs use meanwhile, as timings made beside them are not reliable."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

LEAST_S = 0.1  # shorter spans give no result: the system counts in hundredths of a second


class Bystanders:
    """Measures from its creation on. busy: returns the processors in use by all programs since its last call."""

    def __init__(self, busy: Callable[[], float] | None = None) -> None:
        self._busy = busy or _busy
        self._busy()
        self._wall, self._own = time.monotonic(), time.process_time()

    def cores(self) -> float:
        """Return the average number of processors that other programs used."""
        wall, own = time.monotonic() - self._wall, time.process_time() - self._own
        return max(0.0, self._busy() - own / wall) if wall > LEAST_S else 0.0


def _busy() -> float:
    return float(psutil.cpu_percent()) / 100 * (psutil.cpu_count() or 1)
