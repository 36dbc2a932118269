"""Sites that the operator names may use the server from their pages; all others may not."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from streamer.core.errors import ConfigError
from streamer.web.guard import guard
from streamer.web.origins import Origins, read_origin

SITE = "https://www.example.com"
OTHER = "https://evil.example"


@pytest.fixture
async def client() -> AsyncIterator[TestClient[web.Request, web.Application]]:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=201, headers={"Location": "/session/1"})

    async def refuse(request: web.Request) -> web.Response:
        raise web.HTTPServiceUnavailable(text="full\n")

    app = web.Application(middlewares=[guard("localhost", origins=Origins([SITE]))])
    app.add_routes([web.post("/session", answer), web.get("/avatars", answer), web.post("/full", refuse)])
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_a_page_of_a_named_site_asks_and_reads_the_answer(
    client: TestClient[web.Request, web.Application],
) -> None:
    headers = {"Origin": SITE, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
    for method, path, status in (("POST", "/session", 201), ("GET", "/avatars", 201), ("POST", "/full", 503)):
        async with client.request(method, path, headers=headers) as response:
            assert response.status == status
            assert response.headers["Access-Control-Allow-Origin"] == SITE
            assert "Location" in response.headers["Access-Control-Expose-Headers"]
            assert "Retry-After" in response.headers["Access-Control-Expose-Headers"]


async def test_a_preflight_request_lists_the_allowed_methods(
    client: TestClient[web.Request, web.Application],
) -> None:
    asked = {"Access-Control-Request-Method": "DELETE", "Access-Control-Request-Private-Network": "true"}
    async with client.options("/session/1", headers={"Origin": SITE} | asked) as response:
        assert response.status == 204
        assert "DELETE" in response.headers["Access-Control-Allow-Methods"]
        assert response.headers["Access-Control-Allow-Private-Network"] == "true"
    async with client.options("/session/1", headers={"Origin": OTHER} | asked) as response:
        assert response.status == 404
        assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize("origin", [OTHER, "null", "https://www.example.com.evil.example", "http://www.example.com"])
async def test_a_page_of_another_site_does_not(client: TestClient[web.Request, web.Application], origin: str) -> None:
    async with client.post("/session", headers={"Origin": origin, "Sec-Fetch-Site": "cross-site"}) as response:
        assert response.status == 403
        assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://www.example.com", SITE),
        ("https://WWW.Example.com:443/", SITE),
        ("http://localhost:9000", "http://localhost:9000"),
    ],
)
def test_a_site_is_read_as_browsers_tell_it(text: str, origin: str) -> None:
    assert read_origin(text) == origin


@pytest.mark.parametrize(
    "text",
    ["*", "example.com", "https://", "https://example.com/page", "ftp://example.com", "http://[", "https://a:b@c"],
)
def test_an_invalid_site_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--allow-origin"):
        read_origin(text)
