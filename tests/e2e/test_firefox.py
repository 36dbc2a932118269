"""The pages in Firefox, which takes no loopback candidate and hides its own addresses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.speech import SpeechClient
from streamer.measure.launched_server import LaunchedServer, launch
from tests import ROOT
from tests.e2e.firefox import FIREFOX, Firefox, firefox
from tests.fakes.ports import free_port
from tests.fakes.sound import speech_like

PATIENCE_S = 60.0
KEY = "a-secret-of-the-stage"
SAMPLE_RATE = 16_000
# Keeps the page's connection for its statistics.
SPY = """() => {
  const Peer = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Peer {
    constructor(...options) { super(...options); window.thePeer = this; }
  };
  window.inbound = async () => {
    const found = { pictures: 0, packets: 0, energy: 0 };
    for (const stat of (await window.thePeer.getStats()).values()) {
      if (stat.type !== "inbound-rtp") continue;
      if (stat.kind === "video") found.pictures = stat.framesDecoded ?? 0;
      else Object.assign(found, { packets: stat.packetsReceived, energy: stat.totalAudioEnergy ?? 0 });
    }
    return found;
  };
}"""
LIVE = "document.body.dataset.state === 'live'"

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(FIREFOX is None, reason="NO FIREFOX: its side is not tested on this machine"),
]


@pytest.fixture(scope="module")
def server(tiny_folder: Path) -> Iterator[LaunchedServer]:
    with launch(["--engines", str(tiny_folder), "--threads", "1", "--sessions", "4"]) as launched:
        yield launched


async def opened(tab: Firefox, url: str) -> None:
    await tab.command("script.addPreloadScript", functionDeclaration=SPY)
    await tab.goto(url)


async def talk(tab: Firefox) -> None:
    """Press the button, and wait for pictures and sound."""
    await tab.until("!document.getElementById('start').disabled", PATIENCE_S)
    await tab.evaluate("document.getElementById('start').click()")
    await conversing(tab)


async def conversing(tab: Firefox) -> None:
    await tab.until(LIVE, PATIENCE_S)
    await tab.until("inbound().then(({ pictures, packets }) => pictures > 20 && packets > 20)", PATIENCE_S)


@pytest.mark.parametrize("hidden", [True, False])
async def test_a_conversation_comes_about(server: LaunchedServer, hidden: bool) -> None:
    """Also where Firefox hides its addresses behind names that only multicast DNS resolves."""
    async with firefox(**{"media.peerconnection.ice.obfuscate_host_addresses": hidden}) as tab:
        await opened(tab, server.url)
        await talk(tab)
        await tab.evaluate("document.getElementById('start').click()")
        await tab.until("document.body.dataset.state === 'idle'", PATIENCE_S)
        assert tab.errors == []


async def test_the_page_calls_again_when_the_server_has_been_started_anew(tiny_folder: Path) -> None:
    port = free_port()
    arguments = ["--engines", str(tiny_folder), "--threads", "1", "--sessions", "4", "--port", str(port)]
    async with firefox() as tab:
        with launch(arguments) as first:
            await opened(tab, first.url)
            await talk(tab)
        await tab.until(f"!({LIVE})", PATIENCE_S)
        with launch(arguments):
            await conversing(tab)


async def test_the_page_for_obs_speaks_what_is_pushed(server: LaunchedServer) -> None:
    speech = (speech_like(1.0) * 3 * 32767).clip(-32768, 32767).astype("<i2").tobytes()
    async with firefox() as tab:
        await opened(tab, f"{server.url}obs?speech=1&key={KEY}")
        await tab.until("'shown' in document.body.dataset", PATIENCE_S)
        async with SpeechClient(f"{server.url}session/{KEY}") as client:
            await client.say(speech, SAMPLE_RATE)
            await client.idle()
        await tab.until("inbound().then(({ energy }) => energy > 0.01)", PATIENCE_S)
        assert tab.errors == []


async def test_a_photo_becomes_a_face_and_is_deleted_again() -> None:
    async with firefox() as tab:
        with launch(["--threads", "1", "--sessions", "4"]) as shipped:
            await opened(tab, shipped.url)
            await tab.until("!document.getElementById('start').disabled", PATIENCE_S)
            await tab.choose_files("#photo", ROOT / "engines/starter/avatars/kofi/portrait.webp")
            await tab.until("document.querySelector('#faces button') !== null", 2 * PATIENCE_S)
            assert await tab.evaluate("document.querySelector('#faces input:checked').value") == "portrait"
            await tab.evaluate("document.querySelector('#faces button').click()")
            for _ in range(2):  # it asks again
                await tab.evaluate("document.getElementById('edit-delete').click()")
            await tab.until("document.querySelector('#faces button') === null", PATIENCE_S)
            assert tab.errors == []
