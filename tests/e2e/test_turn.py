"""A browser that no UDP reaches gets the face through coturn, by TCP, with credentials that the server minted."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from playwright.async_api import async_playwright, expect

from streamer.measure.doctor.finding import Weight
from streamer.measure.doctor.reach import turn
from streamer.measure.launched_server import LaunchedServer, launch
from streamer.webrtc.turn_credentials import Turn
from tests import ROOT
from tests.e2e.browser import ARGUMENTS, CHROMIUM, MICROPHONE, Chromium
from tests.fakes.ports import free_port, until_open
from tests.fakes.tunnel import way_out

ATTEMPTS = 4
PATIENCE_MS = 120_000  # for a page by way of a relay, out of a namespace, beside other tests

COTURN = shutil.which("turnserver")
SECRET = "a-secret-of-this-test"
# Through the relay, or not at all: nothing that the browser sends is UDP.
RELAY_ONLY = """
const Usual = window.RTCPeerConnection;
window.kinds = [];
window.RTCPeerConnection = class extends Usual {
  constructor(given) {
    super({ ...given, iceTransportPolicy: "relay" });
    this.addEventListener("icecandidate", ({ candidate }) => {
      if (candidate?.candidate) window.kinds.push([candidate.type, candidate.relayProtocol]);
    });
  }
};
"""

# All that leads out of its network namespace are two TCP ports; its network card has nobody on the other end.
# It gets no address of IPv6: that comes seconds later, and a browser breaks off loading when its network changes.
CARD = (
    "ip link set lo up && ip link add v0 type veth peer name v1 && ip addr add 198.51.100.2/24 dev v0 && "
    "ip link set v0 addrgenmode none && ip link set v1 addrgenmode none && "
    "ip link set v0 up && ip link set v1 up && ip route add default via 198.51.100.1"
)
WITHOUT_UDP = """#!/bin/sh
exec unshare --net sh -c '
{card}
"{python}" -m tests.fakes.tunnel {ports} 3<&- 4>&- &
"{chromium}" "$@"
kill $!' sh "$@"
"""


def may_unshare() -> bool:
    """Whether this user may make a network namespace with a network card."""
    try:
        return subprocess.run(["unshare", "--net", "sh", "-c", CARD], capture_output=True, timeout=60).returncode == 0
    except OSError:
        return False


pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(COTURN is None, reason="NO COTURN: TURN is not tested on this machine"),
    pytest.mark.skipif(CHROMIUM is None, reason="NO CHROMIUM: TURN is not tested on this machine"),
]


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """coturn's address, and a file with its secret."""
    folder = tmp_path_factory.mktemp("coturn")
    (folder / "secret").write_text(SECRET)
    port = free_port()
    options = ["--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", f"--listening-port={port}", "--allow-loopback-peers"]
    options += [
        "--use-auth-secret",
        f"--static-auth-secret={SECRET}",
        "--realm=test",
        "--no-cli",
        "--no-tls",
        "--no-dtls",
    ]
    options += ["-n", f"--userdb={folder / 'users'}", f"--pidfile={folder / 'pid'}", "--log-file=stdout"]
    process = subprocess.Popen([str(COTURN), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until_open(port, process)
        yield f"turn:127.0.0.1:{port}?transport=tcp", folder / "secret"
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def relayed(relay: tuple[str, Path], tiny_folder: Path) -> Iterator[LaunchedServer]:
    """A server that tells of coturn, which shares a secret with it."""
    arguments = ["--engines", str(tiny_folder), "--threads", "1", "--sessions", "2"]
    with launch([*arguments, "--turn", relay[0], "--turn-secret", str(relay[1])]) as server:
        yield server


@pytest.mark.asyncio(loop_scope="module")
async def test_the_face_comes_through_the_relay(chromium: Chromium, relayed: LaunchedServer) -> None:
    async with chromium.page(*MICROPHONE) as page:
        await page.add_init_script(RELAY_ONLY)
        await page.goto(relayed.url)
        await page.wait_for_selector("#start:enabled", timeout=PATIENCE_MS)
        await page.click("#start")
        await page.wait_for_function("() => document.body.dataset.state === 'live'", timeout=PATIENCE_MS)
        await expect(page.locator("#latency")).to_contain_text("new pictures", timeout=PATIENCE_MS)
        kinds = await page.evaluate("window.kinds")
        await page.click("#start")
    assert kinds
    assert all(kind == ["relay", "tcp"] for kind in kinds)


@pytest.mark.skipif(not may_unshare(), reason="NO NETWORK NAMESPACES: a network without UDP is not tested here")
async def test_the_face_comes_where_no_udp_gets_out(
    relay: tuple[str, Path], relayed: LaunchedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = [int(re.findall(r":(\d+)", address)[-1]) for address in (relayed.url, relay[0])]
    sockets = [tmp_path / str(port) for port in ports]
    wrapper = tmp_path / "chromium-without-udp"
    joined = " ".join(f"{port} {path}" for port, path in zip(ports, sockets, strict=True))
    wrapper.write_text(WITHOUT_UDP.format(card=CARD, python=sys.executable, ports=joined, chromium=CHROMIUM))
    wrapper.chmod(0o700)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    async with AsyncExitStack() as stack:
        for port, path in zip(ports, sockets, strict=True):
            await stack.enter_async_context(way_out(port, path))
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(
            executable_path=str(wrapper), args=[*ARGUMENTS, *MICROPHONE], timeout=PATIENCE_MS
        )
        page = await browser.new_page()
        page.set_default_timeout(PATIENCE_MS)
        await page.goto(relayed.url)
        await page.wait_for_selector("#start:enabled", timeout=PATIENCE_MS)
        await page.click("#start")
        await page.wait_for_function("() => document.body.dataset.state === 'live'", timeout=PATIENCE_MS)
        await expect(page.locator("#latency")).to_contain_text("new pictures", timeout=PATIENCE_MS)
        await page.click("#start")
        await browser.close()


@pytest.mark.asyncio(loop_scope="module")
async def test_the_page_tells_what_a_call_needs_before_there_is_one(
    chromium: Chromium, relayed: LaunchedServer
) -> None:
    async with chromium.page(*MICROPHONE) as page:
        await page.goto(relayed.url)
        await page.wait_for_selector("#start:enabled", timeout=PATIENCE_MS)
        lines = page.locator("#checks-list li")
        for _ in range(ATTEMPTS):  # each check has five seconds, which a machine that stalls may take itself
            await page.click("#check")
            await expect(lines).to_have_count(4, timeout=PATIENCE_MS)
            await expect(lines.filter(has_text="…")).to_have_count(0, timeout=PATIENCE_MS)
            if await lines.filter(has_text="✓").count() == 4:
                break
            await page.click("#checks button")
            await page.evaluate("document.getElementById('checks-list').replaceChildren()")
        for number, (subject, words) in enumerate(
            [("Server", "answers in"), ("Microphone", "allowed"), ("UDP", "gets through"), ("TURN", "relays, by tcp")]
        ):
            await expect(lines.nth(number)).to_contain_text(f"✓ {subject}: {words}", timeout=5_000)
        await page.click("#checks button")
        await expect(page.locator("#checks")).to_be_hidden()


def test_the_doctor_gets_a_relay_and_tells_a_wrong_secret(relay: tuple[str, Path]) -> None:
    address = relay[0]
    for _ in range(ATTEMPTS):
        (found,) = turn(Turn((address,), SECRET))
        if found.weight is Weight.GOOD:
            break
    assert "gives a relay at 127.0.0.1" in found.text
    (wrong,) = turn(Turn((address.removesuffix("?transport=tcp"),), "another-secret-than-its"))
    assert wrong.weight is Weight.FAULT
    assert "is --turn-secret its static-auth-secret?" in wrong.text
