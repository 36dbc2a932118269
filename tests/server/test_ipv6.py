"""A server on IPv6 alone: requests, sound and pictures."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamer.measure.caller import Caller
from streamer.measure.launched_server import launch
from streamer.measure.onsets import vowels
from streamer.webrtc.ice import offer_only
from tests.waiting import PATIENCE_S, eventually


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not has_ipv6(), reason="NO IPV6: it is not tested on this machine"),
]


@pytest.fixture
def only_ipv6() -> Iterator[None]:
    """The caller has no other address."""
    offer_only(["::1"])
    yield
    offer_only(None)


@pytest.mark.usefixtures("only_ipv6")
async def test_a_call_comes_about_over_ipv6(tiny_folder: Path) -> None:
    with launch(["--host", "::1", "--engines", str(tiny_folder), "--threads", "1", "--sessions", "1"]) as server:
        assert re.fullmatch(r"http://\[::1\]:\d+/", server.url)
        async with asyncio.timeout(3 * PATIENCE_S), Caller(server.url, vowels(30.0)) as caller:
            await eventually(lambda: len(caller.recording.sound) > 25 and len(caller.recording.pictures) > 5)
