"""Visitors' photos in a cluster: real servers and gateways, one after the other as their visitors meet them."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web

from engines.manifest import Manifest
from streamer.access.grant import ADMIN, PHOTOS, TALK
from streamer.access.secret import new_secret, public_text
from streamer.access.tokens import mint
from streamer.avatar.catalogue import list_avatars
from streamer.avatar.gallery import Gallery
from streamer.cluster.enclosure import Enclosure
from streamer.cluster.gateway_server import GatewayOptions, gateway
from streamer.cluster.shelves.photo_shelf import PhotoShelf
from streamer.cluster.signed import Signer
from streamer.core.aio import MonotonicClock
from streamer.core.errors import BundleError, StoreError
from streamer.core.limits import Limits, RateLimits
from streamer.inference.messages import WorkerSettings
from streamer.inference.worker import InferenceWorker
from streamer.server.app import asking_for_tokens
from streamer.server.options import ServeOptions
from streamer.server.photos.shared_photos import SharedPhotos
from streamer.server.registry import Lobby
from streamer.server.routes.handlers import Handlers
from streamer.web.descriptors import door_limits
from streamer.web.door import Door
from streamer.web.throttle import Throttles
from tests.cluster.s3 import s3_server
from tests.fakes.cluster import FakeLobby, LocalDirectory
from tests.families import tiny_family
from tests.waiting import eventually

SECRET = new_secret()
KEYS = (public_text(SECRET),)
ADA, BOB = (mint(SECRET, owner, (TALK, PHOTOS), 3600) for owner in ("ada", "bob"))
RULER = mint(SECRET, "boss", (ADMIN,), 3600)
SIGNER = Signer(b"secret")
MINE = "photo-0123456789abcdef"
DAY_S = 86_400.0


class Shelf(PhotoShelf):
    """It may be `away`, as a store on the network may; `then` is how much later it is."""

    away = False
    later_s = 0.0

    def _listed(self, visitor: str = "") -> Any:
        if self.away:
            raise StoreError("the store is away")
        return super()._listed(visitor)


@dataclass
class Worker:
    """A server of a cluster; its engines are not there, and have nothing to do with photos that are made."""

    name: str
    url: str
    shelf: Shelf
    photos: SharedPhotos
    handlers: Handlers
    enclosure: Enclosure
    answers = True

    @property
    def gallery(self) -> Gallery:
        assert self.handlers.gallery is not None
        return self.handlers.gallery


@dataclass
class House:
    """A family and the shelf's address, a machine's home, and workers there."""

    manifest: Manifest
    url: str
    home: Path
    stack: AsyncExitStack

    async def worker(self, name: str) -> Worker:
        return await self.stack.enter_async_context(running(name, self))

    async def gateway(self, *workers: Worker) -> str:
        directory = LocalDirectory(cast(Any, workers))
        directory.refresh()
        return await self.stack.enter_async_context(gateway(GatewayOptions(port=0), directory, SIGNER))

    def bundle(self, name: str, owner: str, title: str = "Me") -> Path:
        """What is on a machine when a photo was made into a face."""
        folder = self.home / "avatars" / name
        shutil.copytree(self.manifest.folder / "avatars" / tiny_family.NAME, folder)
        about = json.loads((folder / "avatar.json").read_text()) | {"title": title, "owner": owner}
        (folder / "avatar.json").write_text(json.dumps(about))
        return folder

    async def photo(self, worker: Worker, name: str = MINE, owner: str = "ada") -> None:
        """A photo is made into a face at a worker."""
        self.bundle(name, owner)
        await worker.photos.keep(name, owner)
        worker.gallery.add(self.manifest, name)


@asynccontextmanager
async def running(name: str, house: House) -> AsyncIterator[Worker]:
    manifest, limits, clock = house.manifest, Limits(), MonotonicClock()
    engines = InferenceWorker(WorkerSettings(manifest.folder, None, 1), tiny_family.SIZE**2)
    shelf = Shelf(house.url, manifest, house.home, lambda: time.time() + shelf.later_s)
    photos = SharedPhotos(shelf, manifest, engines, lambda: handlers.gallery, clock)
    lobby: Any = FakeLobby(2)
    enclosure = Enclosure(name, name, SIGNER.pass_word, lobby, clock, photos)
    tokens = asking_for_tokens(KEYS, RateLimits())
    app = web.Application(middlewares=[enclosure.middleware(), tokens, photos.middleware()])
    door = Door(asyncio.Protocol, door_limits(1), clock)
    requests = Throttles((100.0, 100), (100.0, 100), 0.0, clock)
    options = ServeOptions(token_keys=KEYS)
    handlers = Handlers(
        manifest, engines, Lobby(engines, 1, limits, clock), limits, options, door, requests, photos=photos
    )
    handlers.show(Gallery.load(manifest, list_avatars(manifest), tiny_family.NAME))
    app.add_routes(handlers.routes())
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield Worker(name, f"http://127.0.0.1:{runner.addresses[0][1]}/", shelf, photos, handlers, enclosure)
    finally:
        await runner.cleanup()
        await handlers.close()


@pytest.fixture(params=["file", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "file":
        yield f"file://{tmp_path}/shelf"
    else:
        with s3_server(monkeypatch) as address:
            yield f"{address}/shelf"


@pytest.fixture
async def house(url: str, tiny_folder: Path, own_home: Path) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        yield House(Manifest.load(tiny_folder), url, own_home, stack)


async def ask(method: str, address: str, token: str) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as http, http.request(method, address) as response:
        assert "Avatar-Photos-Of" not in response.headers  # that is the gateways' own
        return response.status, await response.text(errors="replace")


async def seen(address: str, token: str) -> dict[str, tuple[str, bool]]:
    """Title of each face that is listed, and whether it is one's own."""
    status, text = await ask("GET", f"{address}avatars", token)
    assert status == 200, text
    return {each["name"]: (each["title"], each["own"]) for each in json.loads(text)["avatars"]}


def files(house: House) -> list[str]:
    """What is left of visitors' photos on the machine."""
    kept = [path.name for path in (house.home / "avatars").iterdir()]
    return kept + [path.name for path in (house.home / "visitors").iterdir()]


async def test_a_photo_is_its_visitors_at_every_worker_and_gateway_until_it_is_removed(house: House) -> None:
    first, second = await house.worker("w0"), await house.worker("w1")
    here, there = await house.gateway(first), await house.gateway(second)
    await house.photo(first)
    for address in (here, there):
        assert (await seen(address, ADA))[MINE] == ("Me", True)
        assert (await seen(address, BOB)).keys() == {tiny_family.NAME}
        assert (await seen(address, RULER)).keys() == {tiny_family.NAME, MINE}
        for token, status in ((ADA, 200), (BOB, 404)):
            assert (await ask("GET", f"{address}avatars/{MINE}.png", token))[0] == status
    assert (await ask("PATCH", f"{there}avatars/{MINE}?title=Other", BOB))[0] == 404
    assert (await ask("PATCH", f"{there}avatars/{MINE}?title=Other", ADA))[0] == 200
    assert (await seen(here, ADA))[MINE] == ("Other", True)
    assert (await ask("PATCH", f"{here}avatars/{MINE}?title=", ADA))[0] == 400
    assert (await ask("DELETE", f"{here}avatars/{MINE}", BOB))[0] == 404
    assert (await ask("DELETE", f"{here}avatars/{MINE}", ADA))[0] == 200
    for address in (there, here):
        assert (await seen(address, ADA)).keys() == {tiny_family.NAME}
        assert (await ask("GET", f"{address}avatars/{MINE}.png", ADA))[0] == 404
    assert first.shelf.visitors() == []
    assert files(house) == []


async def test_other_workers_know_of_a_change_before_its_answer_is_given(house: House) -> None:
    """So that a call at another worker may wear a face that was made a moment ago, and none that is gone."""
    workers = [await house.worker("w0"), await house.worker("w1")]
    address = await house.gateway(*workers)
    await house.photo(workers[0])
    for worker in workers:
        await worker.photos.heard("ada")  # nobody knows ada here, but for the worker that made it
    assert [each.name for each in workers[1].gallery.portraits()] == [tiny_family.NAME]
    for name, status in (("photo-of-nobody", 404), (MINE, 503)):  # there is no such face; there is, but no engines
        headers = {"Authorization": f"Bearer {ADA}", "Avatar-Cluster": SIGNER.pass_word}
        async with aiohttp.ClientSession(headers=headers) as http:
            reserved = await http.post(f"{workers[1].url}cluster/reserve")
            offer = {"Content-Type": "application/sdp", "Avatar-Reservation": await reserved.text()}
            async with http.post(f"{workers[1].url}session?avatar={name}", data="v=0", headers=offer) as response:
                assert response.status == status
    assert (await ask("PATCH", f"{address}avatars/{MINE}?title=Other", ADA))[0] == 200
    assert {worker.gallery.find(MINE).title for worker in workers} == {"Other"}
    assert (await ask("DELETE", f"{address}avatars/{MINE}", RULER))[0] == 200
    for worker in workers:
        with pytest.raises(BundleError, match="no avatar"):
            worker.gallery.find(MINE)


async def test_a_photo_outlives_the_worker_that_made_it_and_its_machine(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running("w0", house) as first:
        await house.photo(first)
    house.home = tmp_path / "other"
    monkeypatch.setenv("AVATAR_HOME", str(house.home))
    after = await house.gateway(await house.worker("w1"))
    assert (await seen(after, ADA))[MINE] == ("Me", True)
    again = await house.gateway(await house.worker("w2"))  # it finds the photo on the disk, and shows it to ada only
    assert (await seen(again, BOB)).keys() == {tiny_family.NAME}
    assert (await seen(again, ADA))[MINE] == ("Me", True)


async def test_photos_leave_every_machine_after_their_days(house: House) -> None:
    worker = await house.worker("w0")
    await house.photo(worker)
    for days, shown in ((6, [tiny_family.NAME, MINE]), (8, [tiny_family.NAME])):
        worker.shelf.later_s = days * DAY_S
        expiring = asyncio.create_task(worker.photos.expire(7))
        await asyncio.sleep(0.2)
        await eventually(lambda: [each.name for each in worker.gallery.portraits()] == shown)  # noqa: B023
        expiring.cancel()
    assert worker.shelf.visitors() == []
    assert files(house) == []


async def test_faces_of_the_cluster_are_nobodys_to_alter(house: House) -> None:
    house.bundle("of-all", "")
    address = await house.gateway(await house.worker("w0"))
    assert (await seen(address, RULER))["of-all"] == ("Me", False)
    for method in ("PATCH", "DELETE"):
        assert (await ask(method, f"{address}avatars/of-all?title=x", RULER))[0] == 403


async def test_visitors_see_what_was_known_while_the_store_is_away_and_alter_nothing(house: House) -> None:
    worker = await house.worker("w0")
    address = await house.gateway(worker)
    await house.photo(worker)
    worker.shelf.away = True
    assert (await seen(address, ADA))[MINE] == ("Me", True)
    for method in ("PATCH", "DELETE"):
        status, text = await ask(method, f"{address}avatars/{MINE}?title=x", ADA)
        assert (status, text) == (503, "photos cannot be kept or altered at the moment; try again later\n")
    worker.shelf.away = False
    assert (await ask("DELETE", f"{address}avatars/{MINE}", ADA))[0] == 200


async def test_a_photo_that_is_removed_while_it_is_renamed_stays_removed(house: House) -> None:
    worker = await house.worker("w0")
    await house.photo(worker)
    listed = worker.shelf._listed(worker.shelf.visitor("ada"))
    worker.shelf.remove(MINE)
    house.bundle(MINE, "ada")
    worker.shelf._find = lambda visitor, name: listed  # type: ignore[method-assign] # as it was a moment before
    with pytest.raises(BundleError, match="removed meanwhile"):
        worker.shelf.rename(MINE, "Other")
    assert worker.shelf.visitors() == []
