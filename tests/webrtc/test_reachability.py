"""How others reach a session: ports from a range, a public address in the answer, credentials for a TURN server."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription

from streamer.core.errors import ConfigError
from streamer.webrtc.public_ip import announce, with_announced
from streamer.webrtc.turn_credentials import Turn, read_turn
from streamer.webrtc.udp_ports import loop_factory

SECRET = "0123456789abcdef"


def free_range(count: int) -> tuple[int, int]:
    """So many UDP ports in a row, which are free now."""
    for first in range(40_000, 60_000, count):
        held = []
        try:
            for port in range(first, first + count):
                held.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                held[-1].bind(("127.0.0.1", port))
        except OSError:
            continue
        finally:
            for each in held:
                each.close()
        return first, first + count - 1
    raise AssertionError("no free ports")


def test_sockets_have_ports_of_the_range_until_none_is_free() -> None:
    first, last = free_range(3)

    async def bind() -> list[int]:
        loop = asyncio.get_running_loop()
        made = [await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0)) for _ in range(3)]
        with pytest.raises(OSError, match="no UDP port"):
            await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0))
        ports = [transport.get_extra_info("sockname")[1] for transport, _ in made]
        for transport, _ in made:
            transport.close()
        return sorted(ports)

    with asyncio.Runner(loop_factory=loop_factory((first, last))) as runner:
        assert runner.run(bind()) == list(range(first, last + 1))


def test_candidates_of_a_peer_have_ports_of_the_range() -> None:
    first, last = free_range(64)

    async def ports() -> set[int]:
        peer = RTCPeerConnection()
        peer.createDataChannel("any")
        await peer.setLocalDescription(await peer.createOffer())
        lines = [line for line in peer.localDescription.sdp.splitlines() if " typ host" in line]
        await peer.close()
        return {int(line.split()[5]) for line in lines}

    with asyncio.Runner(loop_factory=loop_factory((first, last))) as runner:
        found = runner.run(ports())
    assert found
    assert all(first <= port <= last for port in found)


@pytest.fixture
def announced() -> Iterator[str]:
    announce("203.0.113.5")
    yield "203.0.113.5"
    announce(None)


async def test_an_answer_names_the_public_address_with_the_own_ones_port(announced: str) -> None:
    peer, other = RTCPeerConnection(), RTCPeerConnection()
    peer.createDataChannel("any")
    await peer.setLocalDescription(await peer.createOffer())
    own = [line.split() for line in peer.localDescription.sdp.splitlines() if " typ host" in line]
    sdp = with_announced(peer.localDescription.sdp)
    (public,) = [line.split() for line in sdp.splitlines() if line.startswith("a=candidate") and announced in line]
    assert public[5] in {line[5] for line in own}
    assert public[4] == announced
    await other.setRemoteDescription(RTCSessionDescription(sdp, "offer"))  # it is still one
    await peer.close()
    await other.close()


def test_an_answer_with_loopback_alone_names_nothing_more(announced: str) -> None:
    sdp = "v=0\r\nm=audio 9 RTP 0\r\na=candidate:1 1 udp 99 127.0.0.1 5000 typ host\r\n"
    assert with_announced(sdp) == sdp


def test_credentials_are_what_the_turn_server_makes_of_the_name_itself() -> None:
    server = Turn(("turn:example.com:3478",), SECRET).ice_server("ada", 2_000_000_000.5)
    assert server["urls"] == ["turn:example.com:3478"]
    assert server["username"] == "2000000000:ada"
    expected = base64.b64encode(hmac.new(SECRET.encode(), b"2000000000:ada", hashlib.sha1).digest()).decode()
    assert server["credential"] == expected


@pytest.mark.parametrize(
    ("addresses", "secret", "words"),
    [
        (("example.com",), SECRET, "expected turn:HOST:PORT"),
        (("turn:example.com:3478?x=y",), SECRET, "expected turn:HOST:PORT"),
        (("turn:a\nb",), SECRET, "expected turn:HOST:PORT"),
        ((), SECRET, "belong together"),
        (("turn:example.com",), None, "belong together"),
        (("turn:example.com",), "short", "16 characters or more"),
        (("turn:example.com",), "", "16 characters or more"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, addresses: tuple[str, ...], secret: str | None, words: str) -> None:
    file = tmp_path / "secret"
    if secret is not None:
        file.write_text(secret)
    with pytest.raises(ConfigError, match=words) as refused:
        read_turn(addresses, None if secret is None else file)
    assert SECRET not in str(refused.value)
    assert read_turn((), None) is None
