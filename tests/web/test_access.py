"""The door that asks for tokens: wrong ones are taken slowly, and the audit log tells of them without repeating any."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from streamer.access.grant import TALK
from streamer.access.secret import new_secret
from streamer.access.tokens import Verifier, mint
from streamer.web.access import access, grant_of
from streamer.web.throttle import Throttles
from tests.fakes.clock import FakeClock

SECRET = new_secret()
Client = TestClient[web.Request, web.Application]


async def whose(request: web.Request) -> web.Response:
    return web.Response(text=grant_of(request).owner)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    clock = FakeClock()
    failures, each = Throttles((1.0, 3), (10.0, 10), 0.0, clock), Throttles((1.0, 5), (100.0, 100), 0.0, clock)
    scopes = {("GET", "/open"): (), ("POST", "/{secret}"): (TALK,)}
    app = web.Application(middlewares=[access(Verifier([SECRET]), scopes, failures, each)])
    app.add_routes([web.get("/open", whose), web.post("/{secret}", whose), web.get("/forgotten", whose)])
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
