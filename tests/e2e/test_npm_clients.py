"""WHIP and WHEP clients from npm, on a page of another origin: one publishes a voice, the other watches its face."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from aiohttp import web

from streamer.measure.launched_server import launch
from tests.e2e.browser import CHROMIUM, PATIENCE_MS, Chromium, speaking

PACKAGE = "whip-whep@1.2.0"  # by RFC 9725's author
INSTALL_S = 60
KEY = "the-stream-key-of-a-page"
PAGE = """<!doctype html><title>A studio</title><video muted autoplay playsinline></video>
<script type="module">
  import { WHIPClient } from "/npm/whip.js";
  import { WHEPClient } from "/npm/whep.js";
  const calls = () => new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  window.publish = async (url, key) => {
    const [track] = (await navigator.mediaDevices.getUserMedia({ audio: true })).getAudioTracks();
    const peer = calls();
    peer.addTransceiver(track, { direction: "sendonly" });
    await (window.whip = new WHIPClient()).publish(peer, url, key);
  };
  window.watch = async (url, key) => {
    const peer = calls();
    const stream = new MediaStream();
    for (const kind of ["audio", "video"]) peer.addTransceiver(kind, { direction: "recvonly" });
    peer.addEventListener("track", ({ track }) => stream.addTrack(track));
    document.querySelector("video").srcObject = stream;
    await (window.whep = new WHEPClient()).view(peer, url, key);
  };
</script>
"""

pytestmark = [
    pytest.mark.process,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(CHROMIUM is None, reason="NO CHROMIUM: the browser's side is not tested on this machine"),
    pytest.mark.skipif(shutil.which("npm") is None, reason="NO NPM: other people's WHIP clients are not tested"),
]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the package."""
    folder = tmp_path_factory.mktemp("npm")
    (folder / "package.json").write_text('{"private": true}')
    try:
        command = ["npm", "install", PACKAGE, "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"]
        subprocess.run(command, cwd=folder, timeout=INSTALL_S, check=True, capture_output=True)
    except (subprocess.SubprocessError, OSError):
        pytest.skip("NO NPM REGISTRY: other people's WHIP clients are not tested")
    return folder / "node_modules" / "whip-whep"


async def test_a_voice_is_published_and_its_face_watched(
    chromium: Chromium, package: Path, tiny_folder: Path, microphone: Path
) -> None:
    async def index(request: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", index)
    app.router.add_static("/npm", package)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        await web.SockSite(runner, listener).start()
        origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        arguments = ["--engines", str(tiny_folder), "--sessions", "1", "--threads", "1", "--allow-origin", origin]
        with launch(arguments) as server:
            async with chromium.page(*speaking(microphone)) as page:
                errors: list[str] = []
                page.on("pageerror", lambda error: errors.append(str(error)))
                await page.goto(origin)
                await page.wait_for_function("Boolean(window.watch)", timeout=PATIENCE_MS)
                await page.evaluate("([url, key]) => publish(url, key)", [f"{server.url}whip", KEY])
                await page.evaluate("([url, key]) => watch(url, key)", [f"{server.url}whep", KEY])
                shown = "document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames > 10"
                await page.wait_for_function(shown, timeout=PATIENCE_MS)
                await page.evaluate("whep.stop()")
                await page.evaluate("whip.stop()")
                assert errors == []
        await runner.cleanup()
