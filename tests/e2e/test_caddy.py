"""Caddy in front, with TLS, below a path; the server itself listens on localhost and asks for a token."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Response, expect

from streamer.access.secret import new_secret
from streamer.access.tokens import mint
from streamer.measure.launched_server import launch
from tests.e2e.browser import CHROMIUM, MICROPHONE, Chromium
from tests.fakes.certificates import Pair, write_pair
from tests.fakes.ports import free_port, until_open

CADDY = shutil.which("caddy")
SECRET = new_secret()
CADDYFILE = """
{{
    admin off
    auto_https off
}}
https://localhost:{port} {{
    tls {chain} {key}
    handle_path /avatar/* {{
        reverse_proxy {server}
    }}
}}
"""

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(CADDY is None, reason="NO CADDY: it is not tested in front on this machine"),
    pytest.mark.skipif(CHROMIUM is None, reason="NO CHROMIUM: the page behind Caddy is not tested on this machine"),
]


@pytest.fixture(scope="module")
def proxied(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Pair]]:
    """The address that others know, and its certificate."""
    folder = tmp_path_factory.mktemp("caddy")
    pair = write_pair(folder)
    port = free_port()
    public = f"https://localhost:{port}/avatar/"
    arguments = ["--engines", str(tiny_folder), "--threads", "1", "--sessions", "2", "--token", SECRET]
    with launch([*arguments, "--public-url", public]) as server:
        where = {"port": port, "chain": pair.chain, "key": pair.key, "server": server.url.split("//")[1].rstrip("/")}
        (folder / "Caddyfile").write_text(CADDYFILE.format(**where).replace("localhost:0", "127.0.0.1:0"))
        command = [str(CADDY), "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]
        process = subprocess.Popen(command, env={"HOME": str(folder)}, stderr=subprocess.DEVNULL)
        try:
            until_open(port, process)
            yield public, pair
        finally:
            process.terminate()
            process.wait(60)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_conversation_comes_about_by_the_public_address(chromium: Chromium, proxied: tuple[str, Pair]) -> None:
    public, _ = proxied
    places: list[str] = []

    def note(response: Response) -> None:
        if response.status == 201:
            places.extend(value for name, value in response.headers.items() if name in ("location", "avatar-watch"))

    async with chromium.page(*MICROPHONE, ignore_https_errors=True) as page:
        page.on("response", note)
        await page.goto(f"{public}#token={mint(SECRET, 'ada', ['talk'], 600)}")
        await page.wait_for_selector("#start:enabled")
        await page.click("#start")
        await page.wait_for_function("() => document.body.dataset.state === 'live'")
        await expect(page.locator("#latency")).to_contain_text("new pictures")
        await page.click("#start")
        await page.wait_for_function("() => document.body.dataset.state === 'idle'")
    assert len(places) == 2
    assert all(place.startswith(public) for place in places)


async def test_without_a_token_nobody_comes_in_by_it(proxied: tuple[str, Pair]) -> None:
    public, pair = proxied
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{public}avatars", ssl=pair.trusting()) as response:
            assert response.status == 401
        headers = {"Authorization": f"Bearer {mint(SECRET, 'ada', ['talk'], 600)}"}
        async with http.get(f"{public}avatars", ssl=pair.trusting(), headers=headers) as response:
            assert (response.status, (await response.json())["photos"]) == (200, False)
