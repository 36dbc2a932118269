"""The door that asks for tokens: wrong ones are taken slowly, and the audit log tells of them without repeating any."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestClient, TestServer

from streamer.access.grant import TALK
from streamer.access.revocation import REVOKED, Entry, Revocations, add
from streamer.access.secret import new_secret
from streamer.access.tokens import Verifier, mint, told_by
from streamer.web.access import REVOKED as REVOKED_WORDS
from streamer.web.access import access, grant_of
from streamer.web.throttle import Throttles
from tests.fakes.clock import FakeClock
from tests.waiting import PATIENCE_S

SECRET = new_secret()
Client = TestClient[web.Request, web.Application]


async def whose(request: web.Request) -> web.Response:
    return web.Response(text=grant_of(request).owner)


async def lasting(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.receive()
    return socket


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def client(clock: FakeClock, tmp_path: Path) -> AsyncIterator[Client]:
    failures, each = Throttles((1.0, 3), (10.0, 10), 0.0, clock), Throttles((1.0, 5), (100.0, 100), 0.0, clock)
    scopes = {("GET", "/open"): (), ("POST", "/{secret}"): (TALK,), ("GET", "/socket"): (TALK,)}
    revocations = Revocations(tmp_path / REVOKED, clock)
    app = web.Application(middlewares=[access(Verifier([SECRET]), scopes, failures, each, revocations)])
    app.add_routes([web.get("/open", whose), web.post("/{secret}", whose), web.get("/forgotten", whose)])
    app.add_routes([web.get("/socket", lasting)])
    async with TestClient(TestServer(app)) as client:
        yield client


def bearing(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_a_route_that_nobody_thought_of_is_for_who_rules(client: Client) -> None:
    for token, status in ((mint(SECRET, "ada", [TALK], 60), 403), (SECRET, 200)):
        async with client.get("/forgotten", headers=bearing(token)) as response:
            assert response.status == status
    async with client.get("/no/where") as response:
        assert response.status == 404


async def test_wrong_tokens_are_taken_slowly_and_right_ones_are_not_held_up(client: Client) -> None:
    answers = []
    for _ in range(4):
        async with client.post("/x", headers=bearing(new_secret())) as response:
            answers.append(response.status)
    assert answers == [401, 401, 401, 429]
    async with client.post("/x", headers=bearing(mint(SECRET, "ada", [TALK], 60))) as response:
        assert (response.status, await response.text()) == (200, "ada")


async def test_a_token_has_a_rate_of_its_own(client: Client) -> None:
    busy, other = (bearing(mint(SECRET, "ada", [TALK], 60)) for _ in range(2))
    answers = []
    for headers in (*[busy] * 6, other):
        async with client.post("/x", headers=headers) as response:
            answers.append(response.status)
    assert answers == [200] * 5 + [429, 200]


async def test_the_audit_log_tells_who_did_what_and_no_secret(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "streamer.audit")
    token, wrong = mint(SECRET, "ada", [TALK], 60), new_secret()
    for path, given in (("/session-secret", token), ("/session-secret", wrong), ("/forgotten", token)):
        async with client.request("GET" if path == "/forgotten" else "POST", path, headers=bearing(given)):
            pass
    done, refused, forbidden = caplog.messages
    assert done.startswith("POST /{secret}: 200; token ")
    assert done.endswith(" of ada, from 127.0.0.1")
    assert refused == "token refused: the secret is not this server's; from 127.0.0.1 for POST /{secret}"
    assert forbidden.startswith("refused: GET /forgotten; token ")
    assert not any(secret in caplog.text for secret in (token, wrong, "session-secret"))


@pytest.mark.parametrize("header", ["", "Basic abc", "Bearer", "Bearer ", "Bearer  "])
async def test_another_kind_of_credential_is_none(client: Client, header: str) -> None:
    async with client.post("/x", headers={"Authorization": header}) as response:
        assert (response.status, "a token is needed" in await response.text()) == (401, True)


async def test_a_revoked_token_opens_nothing_and_its_sockets_end(
    client: Client, clock: FakeClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "streamer.audit")
    token, other = (mint(SECRET, "ada", [TALK], 60) for _ in range(2))
    known = told_by(token)
    assert known is not None
    async with (
        client.ws_connect("/socket", headers=bearing(token)) as ending,
        client.ws_connect("/socket", headers=bearing(other)) as staying,
    ):
        add(tmp_path / REVOKED, [Entry(*known)])
        await clock.advance(2.0)
        assert (await ending.receive(PATIENCE_S)).type in (WSMsgType.CLOSED, WSMsgType.CLOSE, WSMsgType.ERROR)
        assert not staying.closed
        async with client.post("/x", headers=bearing(token)) as response:
            assert (response.status, await response.text()) == (401, f"{REVOKED_WORDS}\n")
        async with client.post("/x", headers=bearing(other)) as response:
            assert response.status == 200
    assert f"token {known[0]} is revoked" in caplog.messages
    assert "GET /socket: broken off, as the token was revoked; from 127.0.0.1" in caplog.messages
