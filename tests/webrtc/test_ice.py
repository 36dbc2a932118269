"""Who may come, and by which addresses."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import aioice
import pytest
from aioice import Candidate, stun

from streamer.core.errors import ConfigError
from streamer.webrtc.ice import is_own, offer_only, offer_to, reach

ELSEWHERE = "203.0.113.9"  # RFC 5737: nobody's


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    offer_only(None)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.2", "::1"])
def test_a_server_on_loopback_is_reached_by_all_addresses_from_here_only(host: str) -> None:
    who = reach(host)
    assert who.addresses[0] == ("127.0.0.1" if host == "localhost" else host)
    assert (who.own, who.closed) == (True, True)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::"])
def test_a_server_on_every_address_is_reached_from_anywhere(host: str) -> None:
    assert (reach(host).own, reach(host).closed) == (True, False)


def test_a_server_on_one_address_offers_that_one() -> None:
    who = reach("192.0.2.77")
    assert (who.addresses, who.own, who.closed) == (("192.0.2.77",), False, False)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "x" * 70, "1.2.3.4.5"])
def test_an_invalid_host_is_one_clear_line(host: str) -> None:
    with pytest.raises(ConfigError, match="no such address"):
        reach(host)


@pytest.mark.parametrize(
    ("address", "own"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        (ELSEWHERE, False),
        ("", False),
        ("a.local", False),
    ],
)
def test_own_addresses(address: str, own: bool) -> None:
    assert is_own(address) is own


async def gathered() -> tuple[aioice.Connection, list[str]]:
    connection = aioice.Connection(ice_controlling=False)
    await connection.gather_candidates()
    return connection, [candidate.host for candidate in connection.local_candidates]


async def test_connections_gather_the_requested_candidates() -> None:
    offer_to(reach("localhost"))
    connection, hosts = await gathered()
    await connection.close()
    assert hosts[0] == "127.0.0.1"
    assert len(hosts) == len(set(hosts))
    assert all(map(is_own, hosts))


@pytest.mark.parametrize(("host", "heard"), [("localhost", False), ("0.0.0.0", True)])
async def test_a_check_from_elsewhere_is_heard_by_an_open_server_only(host: str, heard: bool) -> None:
    """The check is right in everything but where it comes from."""
    offer_to(reach(host))
    connection, _ = await gathered()
    connection.remote_username, connection.remote_password = "them", "p" * 22
    check = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    check.attributes["USERNAME"] = f"{connection.local_username}:them"
    check.attributes["PRIORITY"] = 1
    check.attributes["ICE-CONTROLLING"] = 1
    check.add_message_integrity(connection.local_password.encode())
    connecting = asyncio.create_task(connection.connect())
    await asyncio.sleep(0)
    connection._protocols[0].datagram_received(bytes(check), (ELSEWHERE, 5000))
    learnt = [candidate.host for candidate in connection.remote_candidates]
    await connection.close()
    await asyncio.gather(connecting, return_exceptions=True)
    assert learnt == ([ELSEWHERE] if heard else [])


async def test_two_ends_on_this_machine_meet() -> None:
    offer_to(reach("localhost"))
    ours, _ = await gathered()
    theirs = aioice.Connection(ice_controlling=True)
    await theirs.gather_candidates()
    for one, other in ((ours, theirs), (theirs, ours)):
        one.remote_username, one.remote_password = other.local_username, other.local_password
    for candidate in ours.local_candidates:
        await theirs.add_remote_candidate(Candidate.from_sdp(candidate.to_sdp()))
    await theirs.add_remote_candidate(None)  # ours is told of none: it learns them from the checks
    async with asyncio.timeout(60):
        await asyncio.gather(ours.connect(), theirs.connect())
        await theirs.send(b"hello")
        assert await ours.recv() == b"hello"
    await asyncio.gather(ours.close(), theirs.close())
