"""Open a family's engines, with each graph computed in the way that is fastest on this machine.

The measurement takes some seconds and is kept in AVATAR_HOME. If other programs kept the processors busy during it, it
is repeated at the next start. AVATAR_TUNING=off uses the default way of each graph instead.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from engines import tuning, tuning_file
from engines.manifest import Manifest
from engines.runtime import Engines, Way
from engines.tuning import TunedGraph
from streamer.avatar.bundle import PREPARING
from streamer.avatar.catalogue import home_folder
from streamer.core.system.bystanders import Bystanders

TUNING_VARIABLE, OFF = "AVATAR_TUNING", "off"
FREE = 0.3  # processors that may be missing from the engines' threads

logger = logging.getLogger(__name__)


def tuning_path() -> Path:
    """Return the path of the file with the measurements."""
    return home_folder() / "tuning.json"


def open_engines(
    manifest: Manifest,
    threads: int,
    without: Collection[str] = PREPARING,
    tell: Callable[[str], None] = lambda text: None,
) -> Engines:
    """Open and activate a family's stages. tell: gets a line if they must be measured first.

    Raises:
        EngineError: see `Engines.open`.
    """
    return Engines.open(manifest, threads=threads, without=without, ways=ways(manifest, threads, tell))


def ways(manifest: Manifest, threads: int, tell: Callable[[str], None] = lambda text: None) -> Mapping[str, Way]:
    """Return the way to compute each graph, by its file's name; measures it if needed. Raises EngineError."""
    if os.environ.get(TUNING_VARIABLE) == OFF or not tuning.can_tune():
        return {}
    known = tuning_file.read(tuning_path(), tuning_file.key_of(manifest, threads))
    if known is not None:
        return known
    tell(f"measuring how this machine computes family {manifest.family} fastest ...")
    return tuning_file.ways_of(tune(manifest, threads))


def tune(
    manifest: Manifest,
    threads: int,
    progress: Callable[[str], None] = lambda name: None,
    others: Callable[[], Bystanders] = Bystanders,
) -> list[TunedGraph]:
    """Measure, and store the result if possible. Raises EngineError."""
    beside = others()
    tuned = tuning.measure(manifest, threads, progress)
    taken = beside.cores()
    disturbed = taken > (os.cpu_count() or 1) - threads + FREE
    if disturbed:
        logger.warning(
            "other programs held %.1f processors while this machine was measured: it may be slower than it could be "
            "until it is measured again, at the next start or by `avatar engines --tune`",
            taken,
        )
    with contextlib.suppress(OSError):  # not stored: measured again the next time
        tuning_file.write(tuning_path(), tuning_file.key_of(manifest, threads), manifest, tuned, disturbed=disturbed)
    return tuned
