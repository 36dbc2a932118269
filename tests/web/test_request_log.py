"""Requests in the log and in the figures: by route, without what their paths hold."""

from __future__ import annotations

import logging

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from streamer.web.request_log import RequestLog
from tests.fakes.clock import FakeClock


async def test_requests_are_told_by_route_and_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "streamer.requests")
    log = RequestLog(FakeClock(), told=True)

    async def answer(request: web.Request) -> web.Response:
        if request.match_info["token"] == "broken":
            raise RuntimeError("of ours")
        if request.match_info["token"] == "refused":
            raise web.HTTPNotFound
        return web.Response(text="fine")

    app = web.Application(middlewares=[log.middleware()])
    app.add_routes([web.get("/session/{token}", answer), web.get("/session/{token}/speech", answer)])
    logging.getLogger("aiohttp.server").disabled = True
    async with TestClient(TestServer(app)) as client:
        for path in ("session/secret?key=hidden", "session/refused", "session/broken", "no/where", "session/x/speech"):
            async with client.get(f"/{path}"):
                pass
    logging.getLogger("aiohttp.server").disabled = False
    route = "/session/{token}"
    assert {key: each.cumulative()[-1][1] for key, each in log.times.items()} == {
        ("GET", route, "2xx"): 1,
        ("GET", route, "4xx"): 1,
        ("GET", route, "5xx"): 1,
        ("none", "none", "4xx"): 1,
    }  # a socket, which lasts, is not among them
    assert caplog.messages[0] == f"GET {route} 200, 0 ms, from 127.0.0.1"
    assert len(caplog.messages) == 5
    assert "secret" not in caplog.text
    assert "hidden" not in caplog.text


async def test_nothing_is_logged_unless_it_is_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "streamer.requests")
    log = RequestLog(FakeClock())
    app = web.Application(middlewares=[log.middleware()])
    async with TestClient(TestServer(app)) as client, client.get("/"):
        pass
    assert caplog.messages == []
    assert len(log.times) == 1
