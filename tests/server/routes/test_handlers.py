"""Refusals of the HTTP interface, in-process: a server whose engines are not started yet."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from openapi_spec_validator import OpenAPIV31SpecValidator

from engines.manifest import Manifest
from streamer.avatar.gallery import Gallery
from streamer.core.aio import MonotonicClock
from streamer.core.limits import Limits
from streamer.core.options import FaceOptions
from streamer.inference.messages import WorkerSettings
from streamer.inference.worker import InferenceWorker
from streamer.server.assets import ASSETS
from streamer.server.metrics import parse
from streamer.server.openapi import document
from streamer.server.options import ServeOptions
from streamer.server.registry import Lobby
from streamer.server.routes.handlers import Handlers
from streamer.server.routes.scopes import SCOPES
from streamer.web.descriptors import door_limits
from streamer.web.door import Door
from streamer.web.throttle import Throttles
from tests import ROOT
from tests.families import tiny_family

SDP = {"Content-Type": "application/sdp"}


@asynccontextmanager
async def server(tiny_folder: Path, options: ServeOptions) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    manifest, limits, clock = Manifest.load(tiny_folder), Limits(), MonotonicClock()
    worker = InferenceWorker(WorkerSettings(tiny_folder, None, 1), tiny_family.SIZE**2)
    lobby = Lobby(worker, 1, limits, clock)
    app = web.Application(client_max_size=limits.max_sdp_bytes)

    def protocol() -> asyncio.BaseProtocol:
        raise AssertionError("no connection comes through the door")

    door = Door(protocol, door_limits(1), clock)
    requests = Throttles((100.0, 100), (100.0, 100), 0.0, clock)
    handlers = Handlers(manifest, worker, lobby, limits, options, door, requests)
    handlers.gallery = Gallery.load(manifest, [tiny_family.NAME], tiny_family.NAME)
    app.add_routes(handlers.routes())
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.fixture
async def client(tiny_folder: Path) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    async with server(tiny_folder, ServeOptions()) as client:
        yield client


def test_every_route_says_which_scope_it_needs(client: TestClient[web.Request, web.Application]) -> None:
    """One that says none is for who rules; so nothing new stands open, and nothing is shut by an oversight."""
    assert served(client) == set(SCOPES)


def served(client: TestClient[web.Request, web.Application]) -> set[tuple[str, str]]:
    routes = client.server.app.router.routes()  # type: ignore[attr-defined]
    return {(route.method, route.resource.canonical) for route in routes if route.method not in ("HEAD", "OPTIONS")}


@pytest.mark.slow
async def test_the_document_is_valid_and_names_every_route(client: TestClient[web.Request, web.Application]) -> None:
    async with client.get("/openapi.json") as response:
        found = await response.json()
    OpenAPIV31SpecValidator(found).validate()
    named = {(method.upper(), path) for path, methods in found["paths"].items() for method in methods}
    assert named == {(method, path) for method, path in served(client) if path not in ASSETS}
    assert "security" not in found["paths"]["/session"]["post"]


@pytest.mark.slow
def test_the_document_says_which_scopes_are_needed() -> None:
    found = document(tokens=True)
    OpenAPIV31SpecValidator(found).validate()
    assert found["paths"]["/metrics"]["get"]["description"] == "Needs a token of the scope admin."
    assert "security" not in found["paths"]["/healthz"]["get"]


async def test_the_guide_names_every_route(client: TestClient[web.Request, web.Application]) -> None:
    guide = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for _, path in served(client):
        if path not in ASSETS and not path.startswith(("/whip/", "/whep/viewer")):
            assert re.sub(r"\{(\w+)\}", lambda name: name[1].upper(), path).split("?")[0] in guide, path


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "words"),
    [
        ("GET", "/healthz", {}, 503, ""),
        ("POST", "/session", {}, 415, "expected application/sdp"),
        ("POST", "/session", SDP, 503, "not ready"),
        ("POST", "/session?avatar=nobody", SDP, 404, "there are dot"),
        ("POST", "/session?lookahead=soon", SDP, 400, "expected whole milliseconds"),
        ("POST", "/session?lookahead=-1", SDP, 400, "expected whole milliseconds"),
        ("POST", "/session?speech=yes", SDP, 400, "expected 0 or 1"),
        ("POST", "/session?yaw=left", SDP, 400, "yaw"),
        ("POST", "/session?key=short", SDP, 400, "key"),
        ("GET", "/session/nobody", {}, 404, "no such session"),
        ("DELETE", "/session/nobody", {}, 404, "no such session"),
        ("GET", "/session/nobody/speech", {}, 404, "no such session"),
        ("GET", "/avatars/nobody.png", {}, 404, "there are dot"),
        ("GET", "/avatars/dot.png?background=green-ish", {}, 400, "background"),
        ("POST", "/avatars", {}, 503, "not ready"),
    ],
)
async def test_refusals_are_one_line(
    client: TestClient[web.Request, web.Application],
    method: str,
    path: str,
    headers: dict[str, str],
    status: int,
    words: str,
) -> None:
    async with client.request(method, path, data=b"v=0" if method == "POST" else None, headers=headers) as response:
        text = await response.text()
        assert (response.status, text.count("\n")) == (status, 1), text
        assert words in text


async def test_portraits_show_while_the_engines_load(client: TestClient[web.Request, web.Application]) -> None:
    async with client.get("/avatars") as response:
        found = await response.json()
    assert found["ready"] is False
    assert [avatar["name"] for avatar in found["avatars"]] == [tiny_family.NAME]
    async with client.get(found["avatars"][0]["picture"]) as response:
        assert (response.status, response.content_type) == (200, "image/png")


async def test_portraits_have_the_background_of_the_servers_sessions(tiny_folder: Path) -> None:
    """The page shows one until the first picture comes: another background would flash."""
    async with server(tiny_folder, ServeOptions(face=FaceOptions(background="#0000ff"))) as client:
        found = {}
        for query in ("", "?background=0000ff", "?background=none"):
            async with client.get(f"/avatars/{tiny_family.NAME}.png{query}") as response:
                found[query] = await response.read()
    assert found[""] == found["?background=0000ff"] != found["?background=none"]


async def test_refused_sessions_are_counted(client: TestClient[web.Request, web.Application]) -> None:
    for _ in range(3):
        async with client.post("/session", data=b"v=0", headers=SDP) as response:
            assert response.status == 503
            assert response.headers["Retry-After"]
    async with client.get("/metrics") as response:
        assert response.content_type == "text/plain"
        assert parse(await response.text())["sessions_refused_total"] == 3
