"""What a stranger's requests cost: nothing is made for an offer that cannot be answered, and haste is held back."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection

from streamer.avatar.bundle_files import MATTE
from streamer.core.limits import RATES
from streamer.measure.caller import Caller
from streamer.measure.launched_server import LaunchedServer, launch
from streamer.measure.onsets import vowels
from streamer.server.metrics import parse
from tests.families import tiny_family

pytestmark = [pytest.mark.usefixtures("loopback"), pytest.mark.process]

SDP = {"Content-Type": "application/sdp"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaunchedServer]:
    """A server whose avatar's matte is damaged once it runs: whoever puts it on a background meets an error."""
    family = tiny_family.build(tmp_path_factory.mktemp("damaged") / "tiny")
    with launch(["--engines", str(family), "--sessions", "1", "--threads", "1"]) as launched:
        for matte in Path(family).rglob(MATTE):
            matte.write_bytes(b"damaged")
        yield launched


async def offer() -> str:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver("audio", "sendrecv")
    peer.addTransceiver("video", "recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    await peer.close()
    return str(peer.localDescription.sdp)


async def post(http: aiohttp.ClientSession, server: LaunchedServer, query: str, body: str) -> tuple[int, str]:
    async with http.post(server.url + query, data=body, headers=SDP) as response:
        return response.status, await response.text()


async def until_idle(http: aiohttp.ClientSession, server: LaunchedServer) -> None:
    async with asyncio.timeout(60):
        while True:
            async with http.get(server.url + "metrics") as response:
                if parse(await response.text())["sessions_open"] == 0:
                    return
            await asyncio.sleep(0.1)


async def test_no_picture_is_made_before_the_offer_is_known_to_be_one(server: LaunchedServer) -> None:
    good = await offer()
    async with aiohttp.ClientSession() as http:
        for query in ("session?background=00ff00", "session?background=blur"):
            assert (await post(http, server, query, "v=0"))[0] == 400
            assert (await post(http, server, query, good)) == (500, "the matte of avatar dot cannot be read\n")
        async with Caller(server.url, vowels(5.0)):  # the refused ones kept no place
            assert (await post(http, server, "session?background=00ff00", good))[0] == 503  # full, so nothing is made


async def test_offers_that_are_never_connected_block_no_caller(server: LaunchedServer) -> None:
    good = await offer()
    async with aiohttp.ClientSession() as http:
        for _ in range(3):
            assert (await post(http, server, "session", good))[0] in (201, 503)
            async with Caller(server.url, vowels(5.0)) as caller:
                async with asyncio.timeout(60):
                    while not caller.recording.pictures:  # noqa: ASYNC110 - the first one ends it
                        await asyncio.sleep(0.05)
            await until_idle(http, server)


async def test_a_request_that_is_given_up_keeps_no_place(server: LaunchedServer) -> None:
    """However far it had come."""
    body = (await offer()).encode()
    lines = ["POST /session HTTP/1.1", "Host: localhost", "Content-Type: application/sdp"]
    head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
    port = int(server.url.rsplit(":", 1)[1].strip("/"))
    for wait_s in (0.0, 0.002, 0.005, 0.01):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head.encode() + body)
        await writer.drain()
        await asyncio.sleep(wait_s)
        writer.transport.abort()
    async with Caller(server.url, vowels(5.0)) as caller:
        assert caller.location
    async with aiohttp.ClientSession() as http:
        await until_idle(http, server)


async def test_half_requests_exhaust_nothing(server: LaunchedServer) -> None:
    held = []
    for _ in range(300):
        _, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rsplit(":", 1)[1].strip("/")))
        writer.write(b"POST /session HTTP/1.1\r\nHost: localhost\r\nContent-Le")
        held.append(writer)
    async with aiohttp.ClientSession() as http, http.get(server.url + "healthz") as response:
        assert response.status == 200
    for writer in held:
        writer.close()


async def test_pictures_for_pages_of_other_sites_are_refused(server: LaunchedServer) -> None:
    async with aiohttp.ClientSession() as http:
        for headers, status in (
            ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
            ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}, 403),
            ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "no-cors"}, 200),
            ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200),
        ):
            async with http.get(server.url + "avatars/dot.png", headers=headers) as response:
                assert response.status == status


async def test_a_flood_of_requests_is_held_back_and_in_part_refused(server: LaunchedServer) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:

        async def ask(colour: int) -> int:
            async with http.get(f"{server.url}avatars/dot.png?background=0000{colour:02x}") as response:
                return response.status

        answers = Counter(await asyncio.gather(*(ask(colour) for colour in range(160))))
        async with http.get(server.url + "healthz") as response:
            assert response.status == 200
    assert set(answers) == {500, 429}  # 500: the damaged matte, so these had their turn
    assert answers[500] >= 24
    assert answers[429] >= 10


async def test_offers_are_read_at_a_rate(server: LaunchedServer) -> None:
    """What is no offer takes up to 20 ms to be found out."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        answers = Counter(
            status for status, _ in await asyncio.gather(*(post(http, server, "session", "v=0") for _ in range(40)))
        )
        async with http.get(server.url + "healthz") as response:
            assert response.status == 200
    assert set(answers) == {400, 429}
    assert answers[400] >= RATES.offers_each[1]
