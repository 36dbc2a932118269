"""Who a proxy speaks for, and by which address a server is known."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request

from streamer.core.errors import ConfigError
from streamer.web.guard import guard
from streamer.web.proxies import Proxies, PublicAddress
from streamer.web.throttle import address_of

PUBLIC = PublicAddress("https://studio.example/face/")


@pytest.mark.parametrize(
    ("remote", "forwarded", "client"),
    [
        ("10.0.0.2", "203.0.113.5", "203.0.113.5"),
        ("10.0.0.2", "198.51.100.9, 203.0.113.5", "203.0.113.5"),  # what a client says of itself is not believed
        ("10.0.0.2", "203.0.113.5, 10.0.0.9", "203.0.113.5"),  # two proxies of ours
        ("10.0.0.2", "10.0.0.9", "10.0.0.9"),
        ("::ffff:10.0.0.2", "203.0.113.5", "203.0.113.5"),
        ("192.0.2.7", "203.0.113.5", "192.0.2.7"),  # no proxy of ours
        ("10.0.0.2", None, "10.0.0.2"),
        ("10.0.0.2", "nonsense", "unknown"),
    ],
)
async def test_a_proxy_is_believed_about_its_client(remote: str, forwarded: str | None, client: str) -> None:
    async def address(request: web.Request) -> web.Response:
        return web.Response(text=address_of(request))

    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    request = make_mocked_request("GET", "/", headers).clone(remote=remote)
    answer = await Proxies(["10.0.0.0/24"]).middleware()(request, address)
    assert isinstance(answer, web.Response)
    assert answer.text == client


@pytest.mark.parametrize("text", ["", "proxy.example", "10.0.0.0/40"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--trusted-proxy"):
        Proxies([text])


@pytest.mark.parametrize(
    ("headers", "status", "location"),
    [
        ({"Host": "studio.example"}, 201, "https://studio.example/face/session/secret"),
        ({"Host": "127.0.0.1", "Origin": "https://studio.example"}, 201, "https://studio.example/face/session/secret"),
        ({"Host": "localhost"}, 201, "/session/secret"),
        ({"Host": "evil.example"}, 403, None),
        ({"Host": "studio.example", "Origin": "https://evil.example"}, 403, None),
        ({"Host": "studio.example", "Origin": "http://studio.example"}, 201, "/session/secret"),
    ],
)
async def test_answers_name_places_by_the_address_that_was_used(
    headers: dict[str, str], status: int, location: str | None
) -> None:
    async def opened(request: web.Request) -> web.Response:
        return web.Response(status=201, headers={"Location": "/session/secret"})

    app = web.Application(middlewares=[guard("localhost", public=PUBLIC), PUBLIC.middleware()])
    app.add_routes([web.post("/session", opened)])
    async with TestClient(TestServer(app)) as client, client.post("/session", headers=headers) as response:
        assert (response.status, response.headers.get("Location")) == (status, location)
