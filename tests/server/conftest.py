"""What tests of sessions share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from streamer.inference.messages import WorkerSettings
from streamer.inference.worker import InferenceWorker
from streamer.webrtc.ice import LOOPBACK, offer_only
from tests.families import tiny_family


@pytest.fixture
async def worker(tiny_folder: Path) -> AsyncIterator[InferenceWorker]:
    """An inference process of the family in miniature; peers are met on this machine's own address only."""
    offer_only(LOOPBACK)
    made = InferenceWorker(WorkerSettings(tiny_folder, None, 1), tiny_family.SIZE**2)
    await made.start()
    yield made
    await made.stop()
    offer_only(None)
