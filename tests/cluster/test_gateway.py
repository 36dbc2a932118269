"""A gateway as callers see it, in front of workers that speak the real protocol."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from streamer.access.grant import TALK, WATCH
from streamer.access.secret import new_secret, public_text
from streamer.access.tokens import mint
from streamer.cluster.gateway_server import GatewayOptions, gateway
from streamer.cluster.signed import Signer
from tests.fakes.cluster import FakeWorker, LocalDirectory, refreshed, workers
from tests.waiting import eventually

SDP = {"Content-Type": "application/sdp"}
SIGNER = Signer(b"secret")
OPTIONS = GatewayOptions(port=0, patience_s=0.5)


@dataclass
class House:
    """Three workers of two places, and a gateway at `url`."""

    url: str
    workers: list[FakeWorker]
    directory: LocalDirectory
    http: aiohttp.ClientSession

    async def open(self, caller: int = 0, query: str = "", offer: str = "v=0") -> tuple[int, dict[str, str], str]:
        headers = SDP | {"X-Forwarded-For": f"10.1.{caller // 250}.{caller % 250 + 1}"}
        async with self.http.post(f"{self.url}session?{query}", data=offer, headers=headers) as response:
            return response.status, dict(response.headers), await response.text()

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, str]:
        async with self.http.request(method, self.url + path.lstrip("/"), **options) as response:
            return response.status, await response.text()


def free(house: House) -> int:
    """Places, as the gateway sees them."""
    return sum(worker.free for worker in house.directory.view.workers)


@pytest_asyncio.fixture
async def house() -> AsyncIterator[House]:
    async with workers(SIGNER, 2, 2, 2) as found, aiohttp.ClientSession() as http:
        directory = LocalDirectory(found)
        async with gateway(OPTIONS, directory, SIGNER) as url, refreshed(directory):
            yield House(url, found, directory, http)


async def test_a_session_begins_on_a_worker_and_later_requests_find_it(house: House) -> None:
    status, headers, text = await house.open()
    assert (status, text) == (201, "answer to v=0")
    location = headers["Location"]
    status, text = await house.ask("GET", location)
    assert status == 200
    assert f'"{location.split("/")[2].split(".")[0]}"' in text  # the worker that its name says
    assert headers["Avatar-Watch"].startswith("/whep/w")
    assert await house.ask("DELETE", location) == (200, "ended\n")
    assert (await house.ask("GET", location))[0] == 404


async def test_another_gateway_routes_the_same_session_without_having_heard_of_it(house: House) -> None:
    _, headers, _ = await house.open()
    async with gateway(OPTIONS, house.directory, SIGNER) as other:
        status, _ = await House(other, [], house.directory, house.http).ask("GET", headers["Location"])
        assert status == 200


async def test_an_address_that_is_not_signed_reaches_nobody(house: House) -> None:
    _, headers, _ = await house.open()
    worker, token, signature = headers["Location"].removeprefix("/session/").split(".")
    for forged in (f"{worker}.{token}.{signature[::-1]}", f"w2.{token}.{signature}", f"{worker}.x.{signature}"):
        if forged != f"{worker}.{token}.{signature}":
            assert (await house.ask("GET", f"session/{forged}"))[0] == 404


async def test_strangers_do_not_speak_to_workers_past_the_gateway(house: House) -> None:
    for method, path in (("POST", "session"), ("GET", "cluster/report"), ("POST", "cluster/drain")):
        async with house.http.request(method, house.workers[0].url + path) as response:
            assert response.status == 403
        assert (await house.ask(method, "cluster/report"))[0] == 404  # nor through it
    async with house.http.post(f"{house.url}session", data="v=0", headers=SDP | {"Avatar-Cluster": "guess"}) as got:
        assert got.status == 201  # the gateway's own word counts


@pytest.mark.slow
async def test_the_last_place_is_given_once_and_the_others_stand_in_line(house: House) -> None:
    """200 offers at once for six places, decided on views that are a moment old."""
    asked = (house.open(caller, f"ticket=ticket-of-caller-{caller:04}") for caller in range(200))
    answers = await asyncio.gather(*asked)
    assert Counter(status for status, _, _ in answers) == {201: 6, 503: 194}
    assert [worker.lobby.most_seen for worker in house.workers] == [2, 2, 2]
    refused = [headers for status, headers, _ in answers if status == 503]
    assert all(int(headers["Retry-After"]) > 0 for headers in refused)
    assert sorted(int(headers["Avatar-Place"]) for headers in refused) == list(range(1, 195))


async def test_a_place_that_is_free_again_goes_to_the_first_in_line(house: House) -> None:
    opened = [(await house.open(caller))[1]["Location"] for caller in range(6)]
    first = await house.open(11, "ticket=the-first-in-the-line")
    second = await house.open(12, "ticket=the-second-in-the-line")
    assert (first[0], first[1]["Avatar-Place"], second[1]["Avatar-Place"]) == (503, "1", "2")
    assert (await house.ask("DELETE", opened[0]))[0] == 200
    await eventually(lambda: free(house) == 1)
    assert (await house.open(13))[0] == 503  # who stands in no line comes after those who do
    assert (await house.open(12, "ticket=the-second-in-the-line"))[0] == 503
    assert (await house.open(11, "ticket=the-first-in-the-line"))[0] == 201


async def test_the_session_with_a_key_is_found_by_it_and_there_is_one(house: House) -> None:
    key = "a-key-of-the-callers-own"
    for _ in range(3):
        assert (await house.open(0, f"key={key}"))[0] == 201
    assert (await house.ask("GET", f"session/{key}"))[0] == 200
    assert sum(len(worker.lobby.sessions) for worker in house.workers) == 1
    assert (await house.ask("GET", "session/another-key-of-nobody"))[0] == 404


async def test_a_keyed_session_whose_worker_has_gone_is_found_on_the_next(house: House) -> None:
    key = "a-key-of-the-callers-own"
    await house.open(0, f"key={key}")
    [first] = [worker for worker in house.workers if worker.lobby.sessions]
    await first.kill()
    assert (await house.open(0, f"key={key}"))[0] == 201
    status, text = await house.ask("GET", f"session/{key}")
    assert status == 200
    assert f'"{first.name}"' not in text


async def test_offers_go_round_a_worker_that_has_died_since_it_was_seen(house: House) -> None:
    await house.workers[1].kill()
    answers = [await house.open(caller) for caller in range(4)]
    assert [status for status, _, _ in answers] == [201] * 4


@pytest.mark.slow
async def test_a_worker_that_hangs_is_passed_over_and_those_who_talk_there_are_not_given_up(house: House) -> None:
    opened = [(await house.open(caller))[1]["Location"] for caller in range(3)]
    name = opened[0].split("/")[2].split(".")[0]
    [hanging] = [worker for worker in house.workers if worker.name == name]
    others = sum(not location.startswith(f"/session/{name}.") for location in opened)
    hanging.hangs = True
    answers = [await house.open(10 + caller) for caller in range(4 - others)]
    assert [status for status, _, _ in answers] == [201] * (4 - others)
    hanging.hangs = False
    assert (await house.ask("GET", opened[0]))[0] == 200


async def test_what_any_worker_answers_is_asked_of_another_when_the_first_has_gone(house: House) -> None:
    await house.workers[0].kill()
    await house.workers[1].kill()
    assert (await house.ask("GET", "avatars"))[0] == 200
    await house.workers[2].kill()
    assert (await house.ask("GET", "avatars"))[0] == 503


async def test_a_session_is_found_on_a_worker_of_which_nothing_was_heard_lately(house: House) -> None:
    _, headers, _ = await house.open()
    for worker in house.workers:
        house.directory.board.forget(worker.name)
    house.directory.workers = []
    house.directory.refresh()
    assert (await house.ask("GET", "healthz"))[0] == 503
    assert (await house.ask("GET", headers["Location"]))[0] == 200


@pytest.mark.slow
async def test_who_calls_before_a_worker_is_ready_is_held_until_one_is(house: House) -> None:
    for worker in house.workers:
        worker.lobby.ready = False
    house.directory.refresh()
    assert (await house.ask("GET", "healthz"))[0] == 503
    status, headers, text = await house.open(1, "ticket=the-first-in-the-line")  # for a while, and then stands in line
    assert (status, headers["Avatar-Place"], text) == (503, "1", "no worker is ready; you are number 1 in line\n")
    async with gateway(replace(OPTIONS, patience_s=60), house.directory, SIGNER) as url:
        patient = House(url, house.workers, house.directory, house.http)
        house.directory.board.line.leave("the-first-in-the-line")
        house.directory.refresh()
        asked = [asyncio.create_task(patient.open(caller)) for caller in range(3)]
        await asyncio.sleep(0.1)
        assert not any(task.done() for task in asked)
        for worker in house.workers:
            worker.lobby.ready = worker.hangs = True
        await asyncio.sleep(0.1)
        assert not any(task.done() for task in asked)  # those that are too busy to answer are waited for, too
        for worker in house.workers:
            worker.hangs = False
        assert [status for status, _, _ in await asyncio.gather(*asked)] == [201] * 3


@pytest.mark.slow
async def test_the_address_of_a_session_whose_worker_has_died_says_so_at_once(house: House) -> None:
    _, headers, _ = await house.open()
    for worker in house.workers:
        await worker.kill()
    assert (await house.ask("GET", headers["Location"]))[0] == 404
    house.directory.refresh()
    assert (await house.ask("GET", "healthz"))[0] == 503
    assert (await house.open())[0] == 503


async def test_an_offer_that_is_refused_gives_its_place_back(house: House) -> None:
    for _ in range(8):
        status, _, text = await house.open(0, offer="bad")
        assert (status, text) == (400, "no offer\n")
    assert [status for status, _, _ in [await house.open(caller) for caller in range(6)]] == [201] * 6


async def test_a_drained_worker_takes_nobody_and_its_silent_sessions_move(house: House) -> None:
    for caller in range(3):
        await house.open(caller)
    victim = next(worker for worker in house.workers if worker.lobby.sessions)
    speaking = next(iter(victim.lobby.sessions.values()))
    speaking.state = "speaking"
    async with house.http.post(f"{victim.url}cluster/drain", headers={"Avatar-Cluster": SIGNER.pass_word}) as got:
        assert got.status == 200
    await eventually(lambda: list(victim.lobby.sessions.values()) == [speaking])
    answers = [await house.open(20 + caller) for caller in range(4)]
    assert 201 in {status for status, _, _ in answers}
    assert list(victim.lobby.sessions.values()) == [speaking]
    speaking.state = "idle"
    async with asyncio.timeout(60):
        while victim.lobby.sessions:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert "drained" in speaking.reason


async def test_workers_learn_who_calls_and_nobody_else_can_tell_them(house: House) -> None:
    _, headers, _ = await house.open(7)
    status, text = await house.ask("GET", headers["Location"], headers={"X-Forwarded-For": "10.1.0.9"})
    assert (status, '"caller": "10.1.0.9"' in text) == (200, True)
    status, text = await house.ask("GET", headers["Location"], headers={"Avatar-Caller": "10.9.9.9"})
    assert '"caller": "127.0.0.1"' in text


async def test_the_page_and_what_all_workers_know_come_through(house: House) -> None:
    status, text = await house.ask("GET", "")
    assert (status, "<html" in text) == (200, True)
    assert (await house.ask("GET", "call.js"))[0] == 200
    assert (await house.ask("GET", "avatars"))[0] == 200
    assert await house.ask("GET", "healthz") == (200, "ready\n")
    big = b"x" * 3_000_000
    async with house.http.post(f"{house.url}echo", data=io.BytesIO(big)) as response:
        assert await response.read() == big


async def test_bad_requests_are_refused_in_one_clear_line(house: House) -> None:
    for query, body, headers, status, words in (
        ("", b"v=0", {"Content-Type": "text/plain"}, 415, "expected application/sdp"),
        ("ticket=short", b"v=0", SDP, 400, "ticket must be"),
        ("", b"x" * 70_000, SDP, 413, "larger than"),
        ("", b"v=0", SDP | {"Origin": "http://elsewhere.example"}, 403, "other sites"),
        ("", b"v=0", SDP | {"Host": "rebound.example"}, 403, "localhost only"),
    ):
        found, text = await house.ask("POST", f"session?{query}", data=body, headers=headers)
        assert (found, words in text, text.count("\n")) == (status, True, 1), text


async def test_who_has_no_token_neither_takes_a_place_nor_stands_in_line(house: House) -> None:
    secret = new_secret()
    options = replace(OPTIONS, token_keys=(public_text(secret),))
    async with gateway(options, house.directory, SIGNER) as url:
        closed = House(url, house.workers, house.directory, house.http)
        for headers, status in (
            ({}, 401),
            ({"Authorization": f"Bearer {new_secret()}"}, 401),
            ({"Authorization": f"Bearer {mint(secret, 'ada', (WATCH,), 60)}"}, 403),
            ({"Authorization": f"Bearer {mint(secret, 'ada', (TALK,), 60)}"}, 201),
        ):
            assert (await closed.ask("POST", "session", data="v=0", headers=SDP | headers))[0] == status
        assert sum(len(worker.lobby.sessions) for worker in house.workers) == 1
        assert (await closed.ask("GET", ""))[0] == 200


async def test_counts_tell_of_places_and_refusals(house: House) -> None:
    await house.open()
    await eventually(lambda: free(house) == 5)
    _, text = await house.ask("GET", "metrics")
    assert "avatar_gateway_places 6.0" in text
    assert "avatar_gateway_places_free 5.0" in text
    assert "avatar_gateway_sessions_total 1.0" in text


async def test_a_speech_socket_passes_through_with_its_close(house: House) -> None:
    _, headers, _ = await house.open()
    address = house.url + headers["Location"].lstrip("/") + "/speech"
    async with house.http.ws_connect(address) as socket:
        await socket.send_str("hello")
        assert (await socket.receive()).data == "hello"
        await socket.send_bytes(b"\x00" * 100_000)
        assert len((await socket.receive()).data) == 100_000
        await socket.send_str("end")
        message = await socket.receive()
        assert (message.data, message.extra) == (4000, "as you wish")
    status, text = await house.ask("GET", f"{headers['Location']}/speech")
    assert (status, text) == (426, "speech comes by WebSocket\n")
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await house.http.ws_connect(f"{address}?taken=1")
    assert refused.value.status == 409


@pytest.mark.slow
async def test_a_reader_that_stops_holds_up_its_writer_and_not_the_gateway(house: House) -> None:
    """What is sent and not read fills the buffers between, and then the sender waits."""
    _, headers, _ = await house.open()
    address = house.url + headers["Location"].lstrip("/") + "/speech"
    piece, sent = b"x" * 100_000, 0

    async def send(pieces: int) -> None:
        nonlocal sent
        for _ in range(pieces):
            async with asyncio.timeout(1.0):
                await socket.send_bytes(piece)
            sent += 1

    async with house.http.ws_connect(address) as socket:
        with pytest.raises(TimeoutError):
            await send(2_000)
        assert (await house.ask("GET", "healthz"))[0] == 200
        for _ in range(sent):
            async with asyncio.timeout(60):
                assert len((await socket.receive()).data) == len(piece)
