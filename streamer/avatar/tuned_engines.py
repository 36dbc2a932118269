"""A family's engines, each graph computed in the way that is fastest on this machine.

It is measured once, which takes some seconds, and kept in AVATAR_HOME; where other programs held the processors then,
again at the next start. AVATAR_TUNING=off takes the engines as they are announced instead.
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
FREE = 0.3  # processors that may be missing to those that the engines want

logger = logging.getLogger(__name__)


def tuning_path() -> Path:
    """The file that measurements are kept in."""
    return home_folder() / "tuning.json"


def open_engines(
    manifest: Manifest,
    threads: int,
    without: Collection[str] = PREPARING,
    tell: Callable[[str], None] = lambda text: None,
) -> Engines:
    """Open and activate a family's stages. tell: gets a line where they have to be measured first.

    Raises:
        EngineError: as `Engines.open`.
    """
    return Engines.open(manifest, threads=threads, without=without, ways=ways(manifest, threads, tell))


def ways(manifest: Manifest, threads: int, tell: Callable[[str], None] = lambda text: None) -> Mapping[str, Way]:
    """The way to compute each graph, by its file's name: as it was measured, or is now. Raises EngineError."""
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
    """Measure, and keep what was found where that can be. Raises EngineError."""
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
    with contextlib.suppress(OSError):  # measured again the next time
        tuning_file.write(tuning_path(), tuning_file.key_of(manifest, threads), manifest, tuned, disturbed=disturbed)
    return tuned
