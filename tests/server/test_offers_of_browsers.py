"""Offers in the form in which browsers write them (Firefox's was recorded, Safari's and iOS's are modelled on it)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from streamer.measure.launched_server import LaunchedServer, launch
from streamer.webrtc.ice import is_own
from tests import ROOT

OFFERS = ROOT / "tests/data/offers"
HIDDEN = re.compile(r"^(a=candidate:\S+ \d \w+ \d+ )\S+", re.MULTILINE)

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def server(tiny_folder: Path) -> Iterator[LaunchedServer]:
    with launch(["--engines", str(tiny_folder), "--threads", "1", "--sessions", "4"]) as launched:
        yield launched


async def answer_to(server: LaunchedServer, offer: str) -> str:
    async with aiohttp.ClientSession(headers={"Content-Type": "application/sdp"}) as http:
        async with http.post(f"{server.url}session", data=offer.encode()) as response:
            answer, location = await response.text(), response.headers.get("Location", "")
            assert response.status == 201, answer
        await (await http.delete(server.url.rstrip("/") + location)).release()
        return answer


def addresses(answer: str) -> set[str]:
    """Of the candidates."""
    return set(re.findall(r"^a=candidate:\S+ 1 udp \d+ (\S+) ", answer, re.MULTILINE))


@pytest.mark.parametrize(
    ("browser", "sections", "codec"),
    [
        ("firefox", ["audio 0", "video 1"], "VP8"),
        ("safari", ["audio audio", "video video"], "VP8"),
        ("ios", ["video 0", "audio 1"], "H264"),
    ],
)
async def test_each_browser_gets_addresses_its_codec_and_its_order(
    server: LaunchedServer, browser: str, sections: list[str], codec: str
) -> None:
    answer = await answer_to(server, (OFFERS / f"{browser}.sdp").read_bytes().decode())
    assert "127.0.0.1" in addresses(answer)
    assert all(is_own(address) for address in addresses(answer))
    found = re.findall(r"^m=(\w+) (?!0 ).*?^a=mid:(\S+)", answer, re.MULTILINE | re.DOTALL)
    assert [f"{kind} {mid}" for kind, mid in found] == sections
    video = answer[answer.index("m=video") :]
    first = re.search(r"^a=rtpmap:\d+ (\w+)/90000", video, re.MULTILINE)
    assert first is not None
    assert first[1] == codec


@pytest.mark.parametrize("hidden", ["a-name-nobody-has.local", "host.invalid", "0.0.0.0", "2001:db8::9", "224.0.0.1"])
@pytest.mark.parametrize("end", ["a=end-of-candidates\r\n", ""])
async def test_whatever_an_offer_hides_the_answer_has_addresses(server: LaunchedServer, hidden: str, end: str) -> None:
    offer = HIDDEN.sub(rf"\g<1>{hidden}", (OFFERS / "firefox.sdp").read_bytes().decode())
    offer = offer.replace("a=end-of-candidates\r\n", end)
    assert addresses(await answer_to(server, offer))


async def test_an_offer_without_a_candidate_is_answered_with_some(server: LaunchedServer) -> None:
    offer = (OFFERS / "firefox.sdp").read_bytes().decode()
    without = "".join(line for line in offer.splitlines(keepends=True) if not line.startswith("a=candidate"))
    assert addresses(await answer_to(server, without))


async def test_a_caller_on_this_machine_is_offered_every_address_of_it(server: LaunchedServer) -> None:
    """Firefox takes no loopback candidate: it needs another, wherever there is one."""
    offered = addresses(await answer_to(server, (OFFERS / "firefox.sdp").read_bytes().decode()))
    assert len([address for address in offered if ipaddress.ip_address(address).is_loopback]) == 1
    others = {address for address in offered if not ipaddress.ip_address(address).is_loopback}
    assert others == {address for address in others if is_own(address)}
