"""Some hundred mutated cases at each door of a server in this process: none is unexpected, and no session is harmed.

`python -m tests.measure.mutated` does the same with thousands, to a server of its own.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from streamer.measure.caller import Caller
from streamer.measure.onsets import vowels
from streamer.server.app import not_the_clients, on_stray_error
from tests.measure.mutated.attack import Attack
from tests.measure.mutated.doors import DOORS
from tests.measure.mutated.exchange import Target
from tests.server.serving import served
from tests.waiting import eventually

CASES = 40
SEED = 1


class Complaints(logging.Handler):
    """Errors that were logged, and those that nobody awaited."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []
        self.addFilter(not_the_clients)

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(self.format(record))


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.usefixtures("loopback")
async def test_whatever_is_sent_is_expected_and_harms_no_session(tiny_folder: Path) -> None:
    complaints = Complaints()
    logging.getLogger().addHandler(complaints)
    asyncio.get_running_loop().set_exception_handler(on_stray_error)
    try:
        async with served(tiny_folder) as (url, lobby), Caller(url, vowels(120.0)) as caller:
            session, watch = caller.location.removeprefix(url), caller.watch.lstrip("/")
            for door in DOORS.values():
                attack = Attack(door, Target(url, session, watch), SEED)
                await attack.run(CASES)
                assert not attack.harm
                assert attack.count >= CASES, attack.tried
                assert not caller.ended
            packets = len(caller.recording.sound)
            await eventually(lambda: len(caller.recording.sound) > packets + 25)
            await eventually(lambda: lobby.open_sessions == 1)
    finally:
        logging.getLogger().removeHandler(complaints)
    assert complaints.heard == []
