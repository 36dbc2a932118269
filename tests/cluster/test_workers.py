"""Two real workers behind gateways, as callers see and hear them; a gateway dies, a worker is drained."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from clients.resuming_speech import ResumingSpeech
from engines.manifest import Manifest
from streamer.access.grant import PUSH, TALK
from streamer.access.secret import new_secret, public_text
from streamer.access.tokens import mint
from streamer.audio.format import RATE
from streamer.cluster.gateway_server import GatewayOptions, gateway
from streamer.cluster.messages import Report
from streamer.cluster.nodes.worker_main import WorkerSettings
from streamer.cluster.nodes.worker_process import WorkerProcess, new_name
from streamer.cluster.shelves.photo_shelf import PhotoShelf
from streamer.cluster.signed import Signer
from streamer.core.errors import EngineError, SessionError
from streamer.measure.caller import Caller
from streamer.measure.onsets import LOUD, vowels
from streamer.server.options import ServeOptions
from streamer.webrtc.call import bearer
from tests.fakes.cluster import LocalDirectory
from tests.families import tiny_family
from tests.waiting import eventually

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("loopback")]

SIGNER = Signer(b"secret")
SECRET = new_secret()
ADA, BOB = (mint(SECRET, owner, (TALK, PUSH), 3600) for owner in ("ada", "bob"))
OPTIONS = GatewayOptions(port=0, token_keys=(public_text(SECRET),))
KEY = "a-key-of-the-speakers-own"
PHOTO = "photo-of-ada"
PLACES = 1  # each caller decodes its pictures in this process


def start(family: Path, node: str, shelf: str | None = None) -> WorkerProcess:
    keys = OPTIONS.token_keys
    options = ServeOptions(port=0, family=family, max_sessions=PLACES, threads=1, token_keys=keys)
    return WorkerProcess(WorkerSettings(new_name(node), node, SIGNER.pass_word, options, shelf))


@pytest.fixture
def shelf(tiny_folder: Path, own_home: Path, tmp_path: Path) -> str:
    """Where a face of ada's is, which a worker has made that is no more."""
    url, folder = f"file://{tmp_path}/shelf", own_home / "avatars" / PHOTO
    shutil.copytree(tiny_folder / "avatars" / tiny_family.NAME, folder)
    about = json.loads((folder / "avatar.json").read_text()) | {"owner": "ada"}
    (folder / "avatar.json").write_text(json.dumps(about))
    made = PhotoShelf(url, Manifest.load(tiny_folder), own_home)
    made.put(PHOTO)
    made.let_go(PHOTO)
    return url


@pytest.fixture
def pair(tiny_folder: Path, shelf: str) -> Iterator[list[WorkerProcess]]:
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda node: start(tiny_folder, node, shelf), ("one", "two")))
    yield found
    for worker in found:
        worker.stop()


class Watched(LocalDirectory):
    """The view of real workers."""

    def __init__(self, workers: list[WorkerProcess]) -> None:
        super().__init__([])
        self.running = workers

    async def look(self) -> list[Report]:
        found = []
        for worker in self.running:
            with contextlib.suppress(OSError):
                report = await asyncio.to_thread(worker.report)
                self.board.take(report)
                found.append(report)
        self.look_at_board()
        return found


@pytest_asyncio.fixture
async def directory(pair: list[WorkerProcess]) -> Watched:
    found = Watched(pair)
    await found.look()
    return found


async def seen(caller: Caller, pictures: int = 10) -> None:
    """Wait for so many more pictures of a call that goes on."""
    count = len(caller.recording.pictures) + pictures
    await eventually(lambda: caller.ended or len(caller.recording.pictures) >= count, 60)
    assert not caller.ended


def words(*callers: Caller) -> int:
    """How many vowels were heard: loud after a quarter of a second of silence."""
    found, quiet_ms = 0, 1000
    for level in (level for caller in callers for packet in caller.recording.sound for level in packet.level):
        found += bool(level > LOUD and quiet_ms > 250)
        quiet_ms = 0 if level > LOUD else quiet_ms + 1
    return found


async def test_callers_are_spread_outlive_their_gateway_and_lose_no_word_when_they_move(
    directory: Watched, pair: list[WorkerProcess]
) -> None:
    async with gateway(OPTIONS, directory, SIGNER) as url:
        await outlive_their_gateway(url, directory)
        await eventually_free(directory)
        await lose_no_word(url, directory, pair)
    for worker in pair:
        assert worker.process.stdin is not None
        worker.process.stdin.close()  # whoever started it has gone
        assert await asyncio.to_thread(worker.process.wait, 60) == 0


async def outlive_their_gateway(url: str, directory: Watched) -> None:
    """Calls that were begun through another gateway go on without it; what they ask for later goes through this one.

    The two callers know nothing of each other, though both have chosen the same key.
    """
    async with contextlib.AsyncExitStack() as calls:
        async with gateway(OPTIONS, directory, SIGNER) as first:
            callers = []
            with pytest.raises(SessionError, match="404: no avatar 'photo-of-ada'"):
                async with Caller(first, None, f"speech=1&avatar={PHOTO}", token=BOB):
                    pass
            for token, face in ((ADA, PHOTO), (BOB, tiny_family.NAME)):
                call = Caller(first, vowels(20.0), f"key={KEY}&avatar={face}", token=token)
                callers.append(await calls.enter_async_context(call))
                reports = await directory.look()
            assert [report.sessions for report in reports] == [PLACES, PLACES]
            with pytest.raises(SessionError, match="503: all places are taken"):
                async with Caller(first, None, "speech=1", token=ADA):
                    pass
            for caller in callers:
                await seen(caller)
        for caller, token, other in zip(callers, (ADA, BOB), (BOB, ADA), strict=True):
            await seen(caller, 25)
            address = url + caller.location.removeprefix(first)
            assert await asked("GET", address, None) == 401
            assert await asked("DELETE", address, other) == 404
            assert await asked("GET", f"{url}session/{KEY}", token) == 200  # of two with one key, one's own
            assert await asked("GET", address, token) == 200
            assert await asked("DELETE", address, token) == 200
            assert await asked("GET", f"{url}session/{KEY}", token) == 404
            await eventually(lambda: caller.ended, 60)  # noqa: B023 - it is awaited here


async def asked(method: str, address: str, token: str | None) -> int:
    """The answer's status."""
    async with aiohttp.ClientSession(headers=bearer(token)) as http, http.request(method, address) as response:
        return response.status


async def lose_no_word(url: str, directory: Watched, pair: list[WorkerProcess]) -> None:
    """Who speaks while its worker is drained is heard to the end, then moves and goes on, with the same face."""
    query, sound = f"speech=1&key={KEY}&avatar={PHOTO}", vowels(5.0)  # two words
    async with (
        Caller(url, None, query, token=ADA) as before,
        ResumingSpeech(f"{url}session/{KEY}", token=ADA) as speech,
    ):
        saying = asyncio.create_task(speech.say(sound.tobytes(), RATE))
        await eventually(lambda: words(before), 60)
        number = next(number for number, worker in enumerate(pair) if worker.report().sessions)
        await asyncio.to_thread(pair[number].drain)
        report = (await directory.look())[number]
        assert (report.draining, report.free) == (True, 0)
        assert await asyncio.wait_for(saying, 60) == 5_000
        assert words(before) <= 2  # one is left out where the machine is held up; none is said twice
        await eventually(lambda: before.ended, 60)
        async with Caller(url, None, query, token=ADA) as after:
            assert f"/{report.worker}." not in after.location
            assert await asyncio.wait_for(speech.say(sound.tobytes(), RATE), 60) == 5_000
            await eventually(lambda: words(after), 60)


async def eventually_free(directory: Watched) -> None:
    """Wait until the workers have noticed that their callers have gone."""
    async with asyncio.timeout(60):
        while any(report.sessions for report in await directory.look()):  # noqa: ASYNC110 - workers are asked
            await asyncio.sleep(0.1)


def test_a_worker_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"the worker did not start: .*manifest.json"):
        start(tmp_path, "one")
