"""The page behind nginx, as people set it up: with and without the Host header passed on, and below a path."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import expect

from streamer.measure.launched_server import LaunchedServer, launch
from tests import ROOT
from tests.e2e.browser import CHROMIUM, MICROPHONE, Chromium
from tests.fakes.ports import free_port, until_open

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
PHOTO = ROOT / "engines" / "starter" / "avatars" / "kofi" / "portrait.webp"
WAYS = {
    "as it comes": "location / {{ proxy_pass {server}; }}",
    "Host without its port": "location / {{ proxy_pass {server}; proxy_set_header Host $host; }}",
    "Host": "location / {{ proxy_pass {server}; proxy_set_header Host $http_host; }}",
    "HTTP/1.1 as it comes": "location / {{ proxy_pass {server}; proxy_http_version 1.1; }}",
    "HTTP/1.1 and Host": "location / {{ proxy_pass {server}; proxy_http_version 1.1; "
    "proxy_set_header Host $http_host; }}",
    "below a path": "location /avatar/ {{ proxy_pass {server}; proxy_set_header Host $http_host; }}",
    "HTTP/1.1 and forwarding": "location / {{ proxy_pass {server}; proxy_http_version 1.1; "
    "proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }}",
}

pytestmark = [
    pytest.mark.process,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(NGINX is None, reason="NO NGINX: proxies are not tested on this machine"),
    pytest.mark.skipif(CHROMIUM is None, reason="NO CHROMIUM: the page behind proxies is not tested on this machine"),
]


@dataclass(frozen=True)
class Proxied:
    """A server, and the page's address by each way."""

    server: LaunchedServer
    pages: dict[str, str]


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """A server of the shipped family behind nginx."""
    folder = tmp_path_factory.mktemp("nginx")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AVATAR_HOME", str(tmp_path_factory.mktemp("home")))
        with launch(["--threads", "1", "--sessions", "4"]) as server:
            address = server.url.replace("localhost", "127.0.0.1")
            ports = [free_port() for _ in WAYS]
            (folder / "conf").write_text(_configuration(folder, address, ports))
            process = subprocess.Popen([str(NGINX), "-c", str(folder / "conf"), "-p", str(folder)])
            try:
                for port in ports:
                    until_open(port, process)
                paths = ("avatar/" if "/avatar/" in way else "" for way in WAYS.values())
                pages = [f"http://127.0.0.1:{port}/{path}" for port, path in zip(ports, paths, strict=True)]
                yield Proxied(server, dict(zip(WAYS, pages, strict=True)))
            finally:
                process.terminate()
                process.wait(60)


def _configuration(folder: Path, server: str, ports: list[int]) -> str:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    servers = "".join(
        f"server {{ listen 127.0.0.1:{port}; client_body_buffer_size 4m; {way.format(server=server)} }}\n"
        for port, way in zip(ports, WAYS.values(), strict=True)
    )
    return (
        f"pid {folder}/pid; error_log {folder}/errors; daemon off; worker_processes 1; events {{ }}\n"
        f"http {{ access_log off; {paths}\n{servers} }}\n"
    )


@pytest.mark.parametrize("way", list(WAYS))
async def test_a_conversation_comes_about_behind_a_proxy(chromium: Chromium, proxied: Proxied, way: str) -> None:
    async with chromium.page(*MICROPHONE) as page:
        await page.goto(proxied.pages[way])
        await page.wait_for_selector("#start:enabled")
        await expect(page.locator("#faces img")).to_have_count(4)
        await page.click("#start")
        await page.wait_for_function("() => document.body.dataset.state === 'live'")
        await expect(page.locator("#latency")).to_contain_text("new pictures")
        await expect(page.locator(".own")).to_be_hidden()
        await page.click("#start")
        await page.wait_for_function("() => document.body.dataset.state === 'idle'")


@pytest.mark.parametrize("way", list(WAYS))
async def test_photos_are_closed_through_a_proxy(proxied: Proxied, way: str) -> None:
    if way == "HTTP/1.1 as it comes" and os.getuid() != 0:
        pytest.skip("NOT ROOT: nginx runs as the same user, and cannot be told from a program of theirs")
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{proxied.pages[way]}avatars", data=PHOTO.read_bytes()) as response:
            assert (response.status, "own machine only" in await response.text()) == (403, True)
        async with http.get(f"{proxied.pages[way]}avatars") as response:
            assert (await response.json())["photos"] is False
        async with http.get(f"{proxied.server.url}avatars") as response:
            assert (await response.json())["photos"] is True


async def test_a_refusal_names_its_cause(proxied: Proxied) -> None:
    async with aiohttp.ClientSession() as http:
        async with http.get(proxied.pages["Host"], headers={"Host": "studio.example"}) as response:
            text = await response.text()
            assert response.status == 403
            assert "'studio.example'" in text
            assert "--host" in text
        headers = {"Origin": "http://studio.example"}
        async with http.post(f"{proxied.pages['as it comes']}session", headers=headers) as response:
            text = await response.text()
            assert response.status == 403
            assert "pass on the Host header" in text


async def test_a_caller_from_elsewhere_learns_why_no_call_is_possible(proxied: Proxied) -> None:
    """Not answered with addresses that hear this machine only."""
    headers = {"Content-Type": "application/sdp", "X-Forwarded-For": "203.0.113.9"}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(f"{proxied.server.url}session", data=b"v=0") as response,
    ):
        assert response.status == 403
        assert "--host 0.0.0.0" in await response.text()
